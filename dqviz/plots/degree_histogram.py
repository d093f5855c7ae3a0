"""Nodes by in-degree."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.degree_histogram import DegreeHistogram
from dqviz.columns import Column
from dqviz.plots.draw import degree_axis, empty, figure, shifted
from dqviz.plots.style import NEUTRAL


def plot_degree_histogram(info: DegreeHistogram) -> go.Figure:
    """One mark a degree, both axes logarithmic: a heavy tail is a straight line."""
    if not len(info.degree):
        return empty(info.sentence, Column.DEGREE.axis, "Nodes (count)")
    fig = figure(300)
    fig.add_scatter(
        x=shifted(info.degree), y=info.nodes, customdata=info.degree, mode="markers", name="Nodes",
        marker={"color": NEUTRAL, "size": 7},
        hovertemplate="in-degree %{customdata}: %{y} nodes<extra></extra>",
    )  # fmt: skip
    degree_axis(fig, info.degree)
    fig.update_yaxes(title="Nodes (count)", type="log", dtick=1)
    return fig
