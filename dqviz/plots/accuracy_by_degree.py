"""Accuracy and flip rate against in-degree."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from dqviz.analysis.infos.accuracy_by_degree import AccuracyByDegree
from dqviz.columns import Column
from dqviz.plots.by_degree import degree_figure
from dqviz.plots.draw import empty
from dqviz.plots.lines import panels

FLIPS = "Flip rate (share)"


def plot_accuracy_by_degree(info: AccuracyByDegree) -> go.Figure:
    """Accuracy above, share of flipped nodes below, then node counts."""
    top = panels(info.accuracy, Column.ACCURACY.axis, degree_x=True)
    below = panels(info.flips, FLIPS, degree_x=True)
    if not top:
        return empty(info.sentence, Column.DEGREE.axis, Column.ACCURACY.axis)
    named = [replace(p, title=f"Accuracy{f', {p.title}' if p.title else ''}") for p in top]
    named += [replace(p, title=f"Flips{f', {p.title}' if p.title else ''}") for p in below]
    fig = degree_figure(named, info.nodes, panel_px=230)
    for row, panel in enumerate(named, start=1):
        if panel.y_title == FLIPS:
            fig.update_yaxes(rangemode="tozero", row=row, col=1)
    return fig
