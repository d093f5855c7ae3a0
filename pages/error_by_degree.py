"""Error by degree: how large the error of a node is, whether it grows with in-degree, and which nodes suffer most."""

from __future__ import annotations

from typing import Any

from dqviz import analysis, plots, ui

TERMS = ("relative error", "MSE", "SQNR", "rmse/scale", "local error", "accumulated error", "in-degree")
draw = ui.drawer(analysis.group_runs)


def main() -> None:
    figure, info = draw(chosen, analysis.error_by_degree, plots.plot_error_by_degree, "degree", site, kind, metric)
    _, slopes = draw(chosen, analysis.growth, plots.plot_growth, "growth", site)
    figures = [*ui.error_figures(info.lines, metric), ui.growth_figure(slopes.exponents, kind)]
    ui.show_figures([*figures, ui.flip_figure(chosen.rows)])
    ui.show(figure, info, "error-by-degree", TERMS)


def parts() -> None:
    drawn = draw(chosen, analysis.error_parts, plots.plot_error_parts, "degree", site)
    ui.show(*drawn, "error-parts", ("rounding and clipping", "MSE"))


def growth() -> None:
    drawn = draw(chosen, analysis.growth, plots.plot_growth, "growth", site)
    ui.show(*drawn, "growth", ("growth exponent", "in-degree"))


def accuracy() -> None:
    split = ui.choose_split()
    drawn = draw(chosen, analysis.accuracy_by_degree_info, plots.plot_accuracy_by_degree, "accuracy", split)
    ui.show(*drawn, "accuracy-by-degree", ("flip", "in-degree"))


def gradient() -> None:
    with ui.selectors():
        weights, rule = ui.choose_weights(chosen), ui.choose_rule()
    drawn = draw(chosen, analysis.gradient_error, plots.plot_gradient_error, "gradients", weights, rule)
    ui.show(*drawn, "gradient-error", ("gradient error", "in-degree"))


def sites() -> None:
    drawn = draw(chosen, analysis.site_errors, plots.plot_site_errors, "degree", kind)
    ui.show(*drawn, "site-errors", ("local error", "accumulated error", "relative error"))


def smoothness() -> None:
    runs = ui.beside_full_precision(chosen.having("smoothness"), "smoothness")
    drawn = draw(runs, analysis.smoothness_by_layer, plots.plot_smoothness_by_layer, "smoothness")
    ui.show(*drawn, "smoothness", ("scale-free energy", "change by layer", "relative error", "multiplier"))


def worst() -> None:
    ui.require_table(chosen, "nodes", "table of single nodes")
    run = ui.choose_run(chosen)
    nodes = ui.read_table(run, "nodes")
    info = analysis.worst_nodes(nodes, site, 20, kind)
    ui.show(plots.plot_worst_nodes(info), info, "worst-nodes", ("flip", "relative error"), tabled=False)
    ui.show_nodes(info.table)
    neighbourhood(run, nodes, info.table["node"].tolist())


def neighbourhood(run: ui.RunRow, nodes: Any, worst: list[int]) -> None:
    node = ui.choose_node(run, worst, len(nodes))
    info = analysis.neighbourhood(nodes, ui.read_table(run, "edges"), node, site, kind)
    ui.show(plots.plot_neighbourhood(info), info, "neighbourhood", ("flip", "in-degree"))


with ui.page("error_by_degree"):
    chosen = ui.choose_runs(analysis.seeds_by_variant, "degree", quantized=True)
    with ui.selectors():
        site = ui.choose_site(chosen, "degree")
        kind = ui.choose_kind()
        metric = ui.choose_metric()
    main()
    ui.show_tabs({"Rounding and clipping": parts, "Growth": growth, "Accuracy and flips": accuracy,
                  "Gradient": gradient, "Smoothness": smoothness, "All sites": sites,
                  "Worst nodes": worst})  # fmt: skip
