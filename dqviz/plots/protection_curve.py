"""Protection probability against in-degree."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.protection_curve import ProtectionCurve
from dqviz.columns import Column
from dqviz.plots.draw import degree_axis, empty, figure, shifted
from dqviz.plots.style import NEUTRAL, colour, light

Y_TITLE = "Protection p (share of steps)"


def plot_protection_curve(info: ProtectionCurve) -> go.Figure:
    """p as marks joined by a line, p_min and p_max dotted, node counts below on a logarithmic axis."""
    if not len(info.degree):
        return empty(info.sentence, Column.DEGREE.axis, Y_TITLE)
    fig = figure(390, rows=[0.74, 0.26], shared_xaxes=True)
    x, shade = shifted(info.degree), colour("dq")
    fig.add_scatter(x=x, y=info.p, customdata=info.degree, mode="lines+markers", name="Protection probability",
                    line={"color": shade, "width": 2}, marker={"size": 5, "color": shade}, fill="tozeroy",
                    fillcolor=light(shade, 0.08), row=1, col=1,
                    hovertemplate="in-degree %{customdata}: p = %{y:.3f}<extra></extra>")  # fmt: skip
    for value, name in ((info.p_min, "p_min"), (info.p_max, "p_max")):
        fig.add_hline(y=value, line={"color": NEUTRAL, "dash": "dot", "width": 1}, row=1, col=1,
                      annotation={"text": f"{name} = {value:g}", "font": {"size": 11}},
                      annotation_position="top left")  # fmt: skip
    fig.add_bar(x=x, y=info.nodes, width=0.12 * x, marker_color=light(NEUTRAL, 0.75), name="Nodes", row=2, col=1,
                customdata=info.degree, hovertemplate="in-degree %{customdata}: %{y} nodes<extra></extra>")  # fmt: skip
    fig.update_yaxes(title=Y_TITLE, range=[0, max(1.15 * info.p_max, 0.02)], row=1, col=1)
    fig.update_yaxes(title="Nodes", type="log", dtick=2, row=2, col=1)
    fig.update_yaxes(range=[-0.3, float(np.log10(max(info.nodes.max(), 2))) + 0.3], row=2, col=1)
    degree_axis(fig, info.degree, title="", row=1, col=1)
    degree_axis(fig, info.degree, row=2, col=1)
    return fig
