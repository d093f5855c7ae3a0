"""Compare: every run of a study side by side, with intervals over seeds, costs, and published figures, marked."""

from __future__ import annotations

from typing import Any

from dqviz import analysis, plots, ui

draw = ui.drawer(analysis.group_runs)


def main() -> None:
    figure, info = ui.kept(chosen, table)
    ui.show_figures([*ui.accuracy_figures(analysis.seeds_by_variant(rows)), ui.flip_figure(chosen.rows)])
    ui.show(figure, info, "compare", ("seeds",), tabled=False)
    ui.show_table(info.table, "all-runs")
    ui.show_text(":gray[Columns marked as published hold figures under other protocols, not measured here; where it is "
                 "known, the last column says what differs.]")  # fmt: skip


def costed() -> list[dict[str, Any]]:
    return ui.with_costs(chosen.rows, ui.study_runs(chosen.study_id))


def table() -> Any:
    info = analysis.compare_table(rows)
    return plots.plot_compare_table(info), info


def differences() -> None:
    figure, info = ui.kept(chosen, paired, ui.choose_baseline(analysis.seeds_by_variant, chosen))
    ui.show(figure, info, "differences", ("paired difference", "seeds"))
    for one in info.differences:
        ui.show_text(f"- {one.verdict}")


def paired(baseline: str) -> Any:
    info = analysis.paired_differences(rows, baseline)
    return plots.plot_paired_differences(info), info


def one_site() -> None:
    ui.show(*ui.kept(chosen, lowered), "one-site", ("paired difference", "seeds"))


def lowered() -> Any:
    info = analysis.one_site(rows)
    return plots.plot_one_site(info), info


def pareto() -> None:
    ui.show(*ui.kept(chosen, costs, ui.choose_cost(analysis.known_cost(rows))), "pareto", ("seeds",))


def costs(cost: str) -> Any:
    info = analysis.pareto(rows, cost)
    return plots.plot_pareto(info), info


def accuracy() -> None:
    split = ui.choose_split()
    drawn = draw(chosen, analysis.accuracy_by_degree_info, plots.plot_accuracy_by_degree, "accuracy", split)
    ui.show(*drawn, "accuracy-by-degree", ("flip", "in-degree"))


def depth() -> None:
    ui.show(*ui.kept(chosen, deep), "depth", ("seeds", "scale-free energy", "relative error"))


def deep() -> Any:
    info = analysis.depth(rows, ui.tables(chosen.rows, "smoothness"), ui.defaults("arch", "layers"))
    return plots.plot_depth(info), info


with ui.page("compare"):
    chosen = ui.choose_runs(analysis.seeds_by_variant, every=True)
    rows = ui.kept(chosen, costed)
    main()
    ui.show_tabs({"Paired differences": differences, "Accuracy against cost": pareto, "Accuracy by degree": accuracy,
                  "One site at fewer bits": one_site, "Depth": depth})  # fmt: skip
