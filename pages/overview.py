"""Overview: what dqviz is, where the latest study stands, and what to do next."""

from __future__ import annotations

from typing import Any

from dqviz import analysis, plots, ui

TEXT = (
    "dqviz trains a graph neural network at full precision and with quantization-aware methods, follows the error node "
    "by node along in-degree, and runs the trained network in integer arithmetic. It shows where INT8 and INT4 lose "
    "accuracy, whether Degree-Quant helps there, and what speed it buys."
)


def figures() -> None:
    groups = analysis.seeds_by_variant(study.records)
    speeds = ui.speed_figures(analysis.latency_bars(ui.widest_timing(study.rows)).panels)
    sources = [ui.accuracy_figure(groups), ui.source_figure(study.rows), speeds[0], ui.flip_figure(study.rows)]
    ui.show_figures(sources)


def table() -> Any:
    info = analysis.compare_table(ui.with_costs(study.rows, study.rows))
    return plots.plot_compare_table(info), info


def chart() -> None:
    ui.show(*ui.kept(study, table), "overview", ("seeds",))


with ui.page("overview"):
    ui.show_text(TEXT)
    ui.show_starts("train", "error_by_degree", "compare", "report")
    with ui.selectors():
        study = ui.choose_study()
    figures()
    chart()
