"""The nodes with the largest error against their in-degree."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.worst_nodes import WorstNodes
from dqviz.columns import Column
from dqviz.plots.draw import degree_axis, empty, figure, shifted
from dqviz.plots.style import NEUTRAL, colour


def plot_worst_nodes(info: WorstNodes) -> go.Figure:
    """One mark a node with its number; nodes that flip are filled."""
    y_title = f"Relative {info.kind} error (‖e‖ / ‖x‖)"
    if info.table.empty:
        return empty(info.sentence, Column.DEGREE.axis, y_title)
    fig = figure(320)
    for flip, name, shade in ((False, "keeps its class", NEUTRAL), (True, "flips", colour("qat"))):
        rows = info.table[info.table["flip"] == flip]
        fig.add_scatter(
            x=shifted(rows["degree"].to_numpy()), y=rows["error_mean"], text=rows["node"].astype(str), name=name,
            mode="markers+text", textposition="top center", textfont={"size": 10}, cliponaxis=False,
            marker={"color": shade, "size": 9, "symbol": "circle" if flip else "circle-open"},
            hovertemplate="node %{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    degree_axis(fig, info.table["degree"].to_numpy())
    fig.update_yaxes(title=y_title)
    fig.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return fig
