"""Every figure: axis titles with units, small, themed, and drawn from nothing, one node, one run or many runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from dqviz import analysis, plots
from dqviz.analysis.info import Info
from dqviz.plots import style
from dqviz.plots.draw import _apart, figure, left_out
from tests.analysis import analysis_examples as examples
from tests.analysis.test_analysis_infos import empty_infos

KEY = "1/aggregate"
WITHOUT_UNIT = {"Run", "Backend", "Nodes"}  # names and counts
MOST_BYTES = 100_000

Groups = Callable[[str], list[analysis.Group]]


def infos(**kwargs: Any) -> dict[str, Info]:
    """All infos by the name of their plot; ":" separates variants."""
    rows = examples.rows(**kwargs)

    def groups(name: str) -> list[analysis.Group]:
        return analysis.group_runs(rows, examples.table(name))

    run = groups("nodes")[-1].frames[0]
    return (by_degree(groups) | by_site(groups) | {
        "learning_curves": analysis.learning_curves(groups("metrics"), "accuracy_val"),
        "degree_histogram": analysis.degree_histogram(examples.facts()), "worst_nodes": analysis.worst_nodes(run, KEY),
        "protection_curve": analysis.protection_curve(examples.facts(), 0.1, 0.3),
        "mask_sample": analysis.mask_sample(examples.facts(), 0.1, 0.3),
        "protection_frequency": analysis.protection_frequency(groups("nodes")),
        "latency_bars": analysis.latency_bars(examples.latency()),
        "latency_operations": analysis.latency_operations(examples.latency()),
        "roofline": analysis.roofline(examples.latency_sweep()),
        "scale_curve": analysis.scale_curve(examples.latency_sweep()),
        "held_memory": analysis.held_memory(examples.latency_sweep()),
        "one_site": analysis.one_site(examples.one_site_rows()),
        "compare_table": analysis.compare_table(rows), "pareto": analysis.pareto(rows),
        "paired_differences": analysis.paired_differences(rows, next(iter(analysis.seeds_by_variant(rows))).label),
        "neighbourhood": analysis.neighbourhood(*examples.neighbours(), 0, "0/update"),
        "smoothness_by_layer": analysis.smoothness_by_layer(groups("smoothness")),
        "depth": analysis.depth(examples.depth_rows(**kwargs), examples.depth_table, {}),
    })  # fmt: skip


def error(metric: str, **kwargs: Any) -> Info:
    groups = analysis.group_runs(examples.rows(**kwargs), examples.table("degree"))
    return analysis.error_by_degree(groups, KEY, "local", metric)


def by_degree(groups: Groups) -> dict[str, Info]:
    return {
        **{f"error_by_degree:{metric}": analysis.error_by_degree(groups("degree"), KEY, "local", metric)
           for metric in ("error_mean", "mse", "sqnr_db", "rmse_scale")},
        "error_parts": analysis.error_parts(groups("degree"), KEY),
        "accuracy_by_degree": analysis.accuracy_by_degree_info(groups("accuracy")),
        "aggregation_exponents": analysis.aggregation_exponents(groups("aggregation")),
        "aggregation_growth": analysis.aggregation_growth(groups("aggregation")),
        "degree_bands": analysis.degree_bands(groups("quantiles"), KEY, groups("ranges")),
        "gradient_error": analysis.gradient_error(groups("gradients")),
        "growth": analysis.growth(groups("growth"), KEY),
        "widths_by_degree": analysis.widths_by_degree(groups("widths"), KEY, groups("degree")),
    }  # fmt: skip


def by_site(groups: Groups) -> dict[str, Info]:
    return {
        "site_errors": analysis.site_errors(groups("degree"), "accumulated"),
        "site_histogram": analysis.site_histogram(groups("histograms"), groups("ranges"), KEY),
        "range_trace": analysis.range_trace(groups("sites"), KEY),
        "levels_used": analysis.levels_used(groups("ranges")),
    }


CASES: dict[str, dict[str, Any]] = {
    "three groups": {"seeds": 2},
    "one run": {"combinations": (("qat", 4),), "seeds": 1},
    "full precision alone": {"combinations": (("fp32", 32),), "seeds": 1},
    "twelve groups": {"combinations": (("fp32", 32), ("qat", 8), ("qat", 4), ("dq", 8), ("dq", 4), ("dq", 2)),
                      "archs": ("gcn", "gin"), "seeds": 1},
}  # fmt: skip


def draw(name: str, info: Info) -> go.Figure:
    figure = getattr(plots, f"plot_{name.split(':', maxsplit=1)[0]}")(info)
    assert isinstance(figure, go.Figure)
    return figure


def titles(figure: go.Figure) -> list[str]:
    axes = [*figure.select_xaxes(), *figure.select_yaxes()]
    return [axis.title.text for axis in axes if axis.title.text]


def check(figure: go.Figure, info: Info) -> None:
    found = titles(figure)
    assert len(found) >= 2
    assert all(title in WITHOUT_UNIT or "(" in title for title in found), found
    text = figure.to_json()
    assert len(text) < MOST_BYTES
    assert "Infinity" not in text
    assert not {"font_color", "#000"} & set(json.dumps(figure.layout.to_plotly_json(), default=str).split('"'))
    assert info.alt
    assert len(info.table.columns) or not len(info.table)


@pytest.mark.parametrize("case", CASES)
def test_every_figure(case: str) -> None:
    for name, info in infos(**CASES[case]).items():
        check(draw(name, info), info)


@pytest.mark.parametrize("name", empty_infos())
def test_nothing_to_draw_says_what_to_do(name: str) -> None:
    info = empty_infos()[name]
    figure = draw(name, info)
    check(figure, info)
    assert len(figure.data) == 0
    assert "".join(a.text for a in figure.layout.annotations).replace("<br>", " ") == info.sentence


def test_every_plot_is_tried() -> None:
    offered = {name for name in plots.__all__ if name.startswith("plot_")}
    assert offered == {f"plot_{name.split(':')[0]}" for name in infos(**CASES["one run"])}
    assert offered == {f"plot_{name}" for name in empty_infos()}


def test_one_node() -> None:
    tables = analysis.analyse([examples.view(np.ones((1, 2), dtype=np.float32), 4, "0/aggregate")], np.array([3]))
    row = examples.rows((("qat", 4),), seeds=1)

    def groups(name: str) -> list[analysis.Group]:
        return analysis.group_runs(row, lambda _: tables[name])

    found: dict[str, Info] = {
        "error_by_degree": analysis.error_by_degree(groups("degree"), "0/aggregate", "local"),
        "error_parts": analysis.error_parts(groups("degree"), "0/aggregate"),
        "growth": analysis.growth(groups("growth"), "0/aggregate"),
        "aggregation_growth": analysis.aggregation_growth(groups("aggregation")),
        "site_histogram": analysis.site_histogram(groups("histograms"), groups("ranges"), "0/aggregate"),
        "degree_bands": analysis.degree_bands(groups("quantiles"), "0/aggregate", groups("ranges")),
        "levels_used": analysis.levels_used(groups("ranges")),
        "degree_histogram": analysis.degree_histogram({"degree_table": {"3": 1}}),
        "protection_curve": analysis.protection_curve({"degree_table": {"3": 1}}, 0.0, 0.1),
    }
    for name, info in found.items():
        check(draw(name, info), info)


def test_at_most_seven_lines_in_a_panel() -> None:
    figure = draw("error_by_degree", error("mse", **CASES["twelve groups"]))
    drawn = [trace for trace in figure.data if trace.type == "scatter" and "lines" in trace.mode]
    lines = [trace.yaxis for trace in drawn if trace.fill != "toself"]
    assert max(lines.count(axis) for axis in set(lines)) <= 7
    assert len(set(lines)) == 2  # one panel an architecture


def test_many_lines_over_depth_are_one_panel_a_width() -> None:
    info = analysis.depth(examples.depth_rows(**CASES["twelve groups"]), examples.depth_table, {})
    figure = draw("depth", info)
    texts = [note.text for note in figure.layout.annotations]
    for name in ("FP32", "INT8", "INT4", "INT2"):
        assert f"Test accuracy, {name}" in texts
    assert "Quantization error of the output, FP32" not in texts
    assert list(figure.layout.xaxis.tickvals) == [2, 8, 32]
    assert figure.layout.xaxis.type == "log"


def test_thin_lines_are_the_energy_with_quantizers_off() -> None:
    info = infos(**CASES["one run"])["smoothness_by_layer"]
    (thin,) = [trace for trace in draw("smoothness_by_layer", info).data if trace.line.width == 1]
    assert thin.name == "QAT INT4, quantizers off"
    assert thin.yaxis == "y"


def test_lines_that_only_settings_tell_apart_have_panels_of_their_own_on_one_scale() -> None:
    rows = [row | {"run_id": f"qat:4:{at}", "method_settings": {"observer": name}}
            for at, name in enumerate(("abs", "mom")) for row in examples.rows((("qat", 4),), seeds=1)]  # fmt: skip
    info = analysis.range_trace(analysis.group_runs(rows, examples.table("sites")), KEY)
    figure = draw("range_trace", info)
    texts = [note.text for note in figure.layout.annotations]
    assert texts[:2] == ["observer abs", "observer mom"]
    assert texts.count("QAT INT4") == 2
    assert figure.layout.yaxis2.range == figure.layout.yaxis.range
    assert "QAT INT4 (observer mom)" in {line.label for line in info.lines}


def test_rounding_alone_is_drawn_at_one_over_root_twelve() -> None:
    figure = draw("error_by_degree", error("rmse_scale", seeds=1))
    assert any(shape.y0 == pytest.approx(1 / np.sqrt(12)) for shape in figure.layout.shapes)


def test_node_counts_stand_under_errors() -> None:
    figure = draw("error_by_degree", error("mse", seeds=1))
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert sum(bars.y) == examples.NUM_NODES
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.ticktext[0] == "0"


@pytest.mark.parametrize("places", [[0.0, 1.0, 2.0, 200.0], [0.0], [], [5.0, 5.0], [0.0, 40.0]])
def test_labels_never_cover_each_other_and_move_no_more_than_needed(places: list[float]) -> None:
    shifts = _apart(places)
    moved = np.add(places, shifts)
    assert (np.diff(moved) >= 16 - 1e-9).all()
    assert sum(shifts) == pytest.approx(0.0, abs=1e-9)
    if places and places[-1] - places[max(len(places) - 2, 0)] >= 40:
        assert shifts[-1] == 0.0


def test_colours_belong_to_methods() -> None:
    assert len({*style.METHODS.values(), *style.OTHERS}) == len(style.METHODS) + len(style.OTHERS)
    assert style.colour("fp32") == style.NEUTRAL
    assert style.colour("something-new") == style.colour("something-new") in style.OTHERS
    assert (style.dash(32), style.dash(8), style.dash(4), style.dash(2)) == ("solid", "dash", "dot", "dashdot")


def luminance(colour: str) -> float:
    """WCAG 2.1 relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("background", ["#ffffff", "#12171c"])
def test_lines_stand_out_on_both_backgrounds(background: str) -> None:
    for shade in (*style.METHODS.values(), *style.OTHERS):
        light, dark = sorted((luminance(shade), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 2.0, shade


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_sets_text_and_keeps_the_background_clear(theme: style.Theme) -> None:
    plain = draw("degree_histogram", analysis.degree_histogram(examples.facts()))
    themed = style.apply(plain, theme)
    assert themed.layout.template.layout.font.color == style.template(theme)["layout"]["font"]["color"]
    assert plain.layout.template.layout.font.color is None
    assert themed.layout.paper_bgcolor == style.CLEAR
    json.dumps(style.template(theme))


def test_a_chart_says_what_it_leaves_out() -> None:
    fig = figure(200)
    assert not left_out(fig, 7, 7).layout.annotations
    assert left_out(fig, 7, 37, "panels").layout.annotations[0].text == "7 of 37 panels are drawn"
