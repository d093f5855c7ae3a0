"""Protection: whom Degree-Quant keeps at full precision while training; live for any data set, no training needed."""

from __future__ import annotations

from typing import Any

from dqviz import analysis, plots, ui

draw = ui.drawer(analysis.group_runs)


def main() -> None:
    figure, info = ui.kept(dataset, curve, p_min, p_max)
    ui.show_figures(ui.protection_figures(info))
    ui.show(figure, info, "protection", ("protection", "in-degree"))


def curve(low: float, high: float) -> Any:
    info = analysis.protection_curve(facts, low, high)
    return plots.plot_protection_curve(info), info


def mask() -> None:
    ui.show(*ui.kept(dataset, sample, p_min, p_max, ui.choose_sample_seed()), "mask", ("protection",))


def sample(low: float, high: float, seed: int) -> Any:
    info = analysis.mask_sample(facts, low, high, seed)
    return plots.plot_mask_sample(info), info


def measured() -> None:
    chosen = ui.choose_runs(analysis.seeds_by_variant, "nodes", protecting=True)
    drawn = draw(chosen, analysis.protection_frequency, plots.plot_protection_frequency, "nodes")
    ui.show(*drawn, "protection-frequency", ("protection",))


with ui.page("protection"):
    with ui.selectors():
        dataset = ui.choose_dataset()
        p_min, p_max = ui.choose_probabilities()
    facts = ui.facts(dataset)
    main()
    ui.show_tabs({"A mask on the graph": mask, "Measured in training": measured})
