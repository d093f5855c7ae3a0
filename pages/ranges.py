"""Ranges: what values reach each quantizer, how its range and levels fit them, and what hubs do to the tail."""

from __future__ import annotations

from dqviz import analysis, plots, ui

draw = ui.drawer(analysis.group_runs)


def main() -> None:
    figure, info = draw(chosen, analysis.site_histogram, plots.plot_site_histogram, "histograms ranges", site)
    ui.show_figures(ui.range_figures(info.histograms))
    ui.show(figure, info, "histogram", ("clipped share", "levels used"))


def bands() -> None:
    ui.require_table(chosen, "quantiles", "distribution by degree")
    drawn = draw(chosen, quantiles, plots.plot_degree_bands, "quantiles ranges", site)
    ui.show(*drawn, "degree-bands", ("in-degree", "clipped share"))


def quantiles(values: list[analysis.Group], limits: list[analysis.Group], key: str) -> object:
    return analysis.degree_bands(values, key, limits)


def levels() -> None:
    drawn = draw(chosen, analysis.levels_used, plots.plot_levels_used, "ranges")
    ui.show(*drawn, "levels", ("levels used",))


def widths() -> None:
    drawn = draw(chosen, shares, plots.plot_widths_by_degree, "widths degree", site)
    ui.show(*drawn, "widths", ("bits a value", "in-degree"))


def shares(values: list[analysis.Group], errors: list[analysis.Group], key: str) -> object:
    return analysis.widths_by_degree(values, key, errors)


def trace() -> None:
    drawn = draw(chosen, analysis.range_trace, plots.plot_range_trace, "sites", site)
    ui.show(*drawn, "range-trace", ("clipped share",))


def aggregation() -> None:
    with ui.selectors():
        runs = ui.choose_precision(chosen, "aggregation")
        key = ui.choose_sum(runs)
    fits = draw(runs, analysis.aggregation_exponents, plots.plot_aggregation_exponents, "aggregation", key)
    ui.show(*fits, "aggregation-exponents", ("growth exponent",))
    drawn = draw(runs, analysis.aggregation_growth, plots.plot_aggregation_growth, "aggregation", key)
    ui.show(*drawn, "aggregation", ("in-degree", "growth exponent"))


with ui.page("ranges"):
    chosen = ui.choose_runs(analysis.seeds_by_variant, "ranges", quantized=True)
    with ui.selectors():
        site = ui.choose_site(chosen, "ranges")
    main()
    ui.show_tabs({"By degree": bands, "Levels used": levels, "Bits": widths, "Over epochs": trace,
                  "After aggregation": aggregation})  # fmt: skip
