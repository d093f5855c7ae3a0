"""Pieces of a graph: one sampled mask, and the neighbourhood of a node. Axes are positions without a unit."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.mask_sample import MaskSample
from dqviz.analysis.infos.neighbourhood import Neighbourhood
from dqviz.analysis.view import Array, Floats
from dqviz.plots.draw import empty, figure
from dqviz.plots.style import NEUTRAL, colour, light

AXES = ("Position (layout, no unit)", "Position (no unit)")


def plot_mask_sample(info: MaskSample) -> go.Figure:
    """Protected nodes filled, larger and in the method's colour; the others light."""
    if not len(info.node):
        return empty(info.sentence, *AXES)
    fig = _graph(info.xy, info.edges)
    size = 7 + 3 * np.log2(1 + info.degree)
    looks = ((~info.protected, "quantized", light(NEUTRAL, 0.6)), (info.protected, "protected", colour("dq")))
    for mask, name, shade in looks:
        text = [f"node {n}<br>in-degree {d}, p = {p:.3f}" for n, d, p in
                zip(info.node[mask], info.degree[mask], info.p[mask], strict=True)]  # fmt: skip
        fig.add_scatter(
            x=info.xy[mask, 0], y=info.xy[mask, 1], mode="markers", name=name, hovertext=text, hoverinfo="text",
            marker={"size": size[mask], "color": shade, "line": {"width": 1, "color": NEUTRAL}},
        )  # fmt: skip
    return _with_legend(fig)


def plot_neighbourhood(info: Neighbourhood) -> go.Figure:
    """Colour is relative error; the centre is a diamond, nodes that flip carry a thick ring."""
    if not len(info.node):
        return empty(info.sentence, *AXES)
    xy = _placed(len(info.node), info.edges)
    fig = _graph(xy, info.edges)
    centre = np.arange(len(info.node)) == 0
    text = [f"node {n}<br>in-degree {d}, error {e:.4g}" for n, d, e in
            zip(info.node, info.degree, info.error, strict=True)]  # fmt: skip
    shown = np.nan_to_num(info.error)
    fig.add_scatter(
        x=xy[:, 0], y=xy[:, 1], mode="markers", hovertext=text, hoverinfo="text", name="nodes",
        marker={"size": np.where(centre, 20, 12), "symbol": np.where(centre, "diamond", "circle").tolist(),
                "color": shown, "colorscale": "Cividis", "cmin": 0, "cmax": float(max(shown.max(), 1e-9)),
                "colorbar": {"title": {"text": "Relative error (‖e‖ / ‖x‖)", "side": "right"}, "thickness": 12},
                "line": {"width": np.where(info.flip, 3, 1), "color": _rings(info.flip)}},
    )  # fmt: skip
    return fig


def _placed(count: int, edges: Array) -> Floats:
    """A place for each of `count` nodes [count, 2]: linked ones near each other."""
    import networkx as nx  # 0.2 s of import that pages without a graph need not pay

    drawn = nx.Graph()
    drawn.add_nodes_from(range(count))
    drawn.add_edges_from(edges.tolist())
    layout = nx.spring_layout(drawn, seed=0, iterations=30)
    return np.array([layout[node] for node in range(count)])


def _rings(flip: Array) -> list[str]:
    return [colour("qat") if one else NEUTRAL for one in flip]


def _graph(xy: Floats, edges: Array) -> go.Figure:
    """Edges as one light line trace under nodes that are added later; equal scales, no ticks."""
    fig = figure(420)
    ends = np.full((len(edges), 3, 2), np.nan)
    ends[:, :2] = xy[edges] if len(edges) else ends[:, :2]
    fig.add_scatter(x=ends[:, :, 0].ravel(), y=ends[:, :, 1].ravel(), mode="lines", hoverinfo="skip", name="edges",
                    line={"color": light(NEUTRAL, 0.45), "width": 1})  # fmt: skip
    fig.update_xaxes(title=AXES[0], showgrid=False, showticklabels=False)
    fig.update_yaxes(title=AXES[1], showgrid=False, showticklabels=False, scaleanchor="x")
    return fig


def _with_legend(fig: go.Figure) -> go.Figure:
    fig.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return fig
