"""Measured share of protected steps against the probability."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.protection_frequency import ProtectionFrequency
from dqviz.columns import Column
from dqviz.plots.draw import Label, direct_labels, empty, figure, left_out
from dqviz.plots.style import MOST_LINES, NEUTRAL, colour, marker

X_TITLE = "Protection probability (share of steps)"


def plot_protection_frequency(info: ProtectionFrequency) -> go.Figure:
    """One mark a probability, its area the number of nodes; the diagonal is perfect agreement."""
    if not info.lines:
        return empty(info.sentence, X_TITLE, Column.PROTECTED_FREQUENCY.axis)
    fig = figure(380)
    top = max(float(max(line.x.max(), line.y.max())) for line in info.lines) * 1.08
    fig.add_scatter(x=[0, top], y=[0, top], mode="lines", line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
                    hoverinfo="skip", name="as often as expected")  # fmt: skip
    for line, nodes in list(zip(info.lines, info.nodes, strict=True))[:MOST_LINES]:
        size = 5 + 2 * np.log2(np.asarray(nodes, dtype=np.float64))
        fig.add_scatter(x=line.x, y=line.y, mode="markers", name=line.label, customdata=list(nodes),
                        marker={"size": size, "color": colour(line.who.method), "symbol": marker(line.who.arch),
                                "opacity": 0.75},
                        hovertemplate="p = %{x:.3f}: %{y:.3f}, %{customdata} nodes<extra></extra>")  # fmt: skip
    labels = [Label(line.label, float(line.x[-1]), float(line.y[-1])) for line in info.lines[:MOST_LINES]]
    direct_labels(fig, labels, 320 / max(top, 1e-9), log=(False, False), row=1)
    fig.update_xaxes(title=X_TITLE, rangemode="tozero")
    fig.update_yaxes(title=Column.PROTECTED_FREQUENCY.axis, rangemode="tozero")
    return left_out(fig, len(labels), len(info.lines))
