"""Latency: what integer inference gains, against named baselines, with the accuracy it costs beside it."""

from __future__ import annotations

from dqviz import analysis, plots, ui


def main() -> None:
    info = analysis.latency_bars(timings)
    ui.show_figures([*ui.speed_figures(info.panels), ui.integer_figure(run)])
    ui.show_measure(study.rows, run, timings)
    if timings.empty:
        raise ui.untimed(run)
    ui.show(plots.plot_latency_bars(info), info, "latency", ("p10 to p90", "float peers", "exact"))
    ui.show_paragraph(analysis.least_gain(timings))
    ui.show_origin(timings, ui.about_timing(study.rows, run))


def operations() -> None:
    graph = ui.choose_graph(analysis.graphs_by_size(timings))
    info = analysis.latency_operations(timings, graph)
    ui.show(plots.plot_latency_operations(info), info, "operations", ("p10 to p90", "exact"))


def bandwidth() -> None:
    info = analysis.roofline(timings)
    ui.show(plots.plot_roofline(info), info, "bandwidth", ("bytes asked for",))


def size() -> None:
    info = analysis.scale_curve(timings)
    ui.show(plots.plot_scale_curve(info), info, "scale", ("p10 to p90",))


def memory() -> None:
    info = analysis.held_memory(timings)
    ui.show(plots.plot_held_memory(info), info, "memory", ("bytes asked for",))


with ui.page("latency"):
    with ui.selectors():
        study = ui.choose_study()
        run = ui.choose_run(study, timed=True)
    timings = ui.timings(study.rows, run)
    main()
    ui.show_tabs({"By operation": operations, "Bytes and bandwidth": bandwidth, "Size of the graph": size,
                  "Memory": memory})  # fmt: skip
