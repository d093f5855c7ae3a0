"""Time against the size of the graph, one line a precision."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.scale_curve import Curve, ScaleCurve
from dqviz.plots.draw import Label, direct_labels, empty, figure
from dqviz.plots.style import DASHES, NEUTRAL, PRECISIONS

X_TITLE, Y_TITLE = "Nodes", "Median time (ms)"
PANEL_PX = 300


def plot_scale_curve(info: ScaleCurve) -> go.Figure:
    """A panel for the whole network and one for its sparse products, both axes logarithmic."""
    if not info.panels:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    count = len(info.panels)
    fig = figure(PANEL_PX * count + 50, rows=[1.0] * count, titles=[name for name, _ in info.panels])
    for row, (_, curves) in enumerate(info.panels, start=1):
        for curve in curves:
            _line(fig, curve, row)
        ends = [Label(curve.label, float(curve.num_nodes[-1]), float(curve.ms[-1])) for curve in curves]
        direct_labels(fig, ends, 0.7 * PANEL_PX / 4, log=(True, True), row=row)
        fig.update_yaxes(title=Y_TITLE, type="log", exponentformat="none", dtick=1, row=row, col=1)
        fig.update_xaxes(type="log", exponentformat="none", dtick=1, row=row, col=1)
    fig.update_xaxes(title=X_TITLE, row=count, col=1)
    return fig


def _line(fig: go.Figure, curve: Curve, row: int) -> None:
    bits = 32 if curve.precision == "fp32" else int(curve.precision.removeprefix("int"))
    fig.add_scatter(
        x=curve.num_nodes, y=curve.ms, mode="lines+markers", name=curve.precision.upper(), text=list(curve.backends),
        line={"color": PRECISIONS.get(curve.precision, NEUTRAL), "dash": DASHES.get(bits, "longdash"), "width": 2},
        marker={"size": 7}, hovertemplate="%{fullData.name} %{text}<br>%{x:,} nodes: %{y:.4g} ms<extra></extra>",
        row=row, col=1,
    )  # fmt: skip
