"""Rounding against clipping by in-degree, stacked, one panel a group."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.error_parts import ErrorParts, Parts
from dqviz.columns import Column
from dqviz.plots.draw import STRIP_PX, degree_axis, empty, figure, left_out, node_strip, shifted
from dqviz.plots.style import MOST_LINES, colour, light

Y_TITLE = "Mean squared error (value²)"
PANEL_PX = 170


def plot_error_parts(info: ErrorParts) -> go.Figure:
    """At most seven groups; light: rounding, full colour on top of it: clipping."""
    parts = info.parts[:MOST_LINES]
    if not parts:
        return empty(info.sentence, Column.DEGREE.axis, Y_TITLE)
    pixels = [PANEL_PX] * len(parts) + [STRIP_PX]
    fig = figure(sum(pixels) + 60 + 20 * len(parts), rows=[p / sum(pixels) for p in pixels],
                 titles=[*(f"{p.who.label}: rounding light, clipping dark" for p in parts), ""],
                 shared_xaxes=True)  # fmt: skip
    for row, part in enumerate(parts, start=1):
        _stack(fig, part, row)
        degree_axis(fig, part.degree, title="", row=row, col=1)
        fig.update_yaxes(title="MSE (value²)", rangemode="tozero", row=row, col=1)
    node_strip(fig, info.nodes, len(pixels))
    degree_axis(fig, parts[0].degree, row=len(pixels), col=1)
    return left_out(fig, len(parts), len(info.parts))


def _stack(fig: go.Figure, part: Parts, row: int) -> None:
    base = colour(part.who.method)
    shades = (("rounding", part.rounding, light(base, 0.35)), ("clipping", part.clipping, base))
    for name, values, shade in shades:
        fig.add_scatter(x=shifted(part.degree), y=values, stackgroup=f"parts{row}", mode="lines", fillcolor=shade,
                        line={"color": base, "width": 1}, name=f"{part.who.label}, {name}",
                        hovertemplate="%{fullData.name}<br>%{x:.3g}: %{y:.4g}<extra></extra>", row=row,
                        col=1)  # fmt: skip
