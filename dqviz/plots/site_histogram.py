"""Histogram of a site's values with the quantizer's range and levels."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.site_histogram import Histogram, SiteHistogram
from dqviz.analysis.view import FULL_PRECISION
from dqviz.plots.draw import empty, figure, left_out, zero_line
from dqviz.plots.style import MOST_LINES, colour, light, line_style

X_TITLE, Y_TITLE = "Value (as it arrives at the site)", "Values (share of a bin)"
FLOOR = 1e-7


def plot_site_histogram(info: SiteHistogram) -> go.Figure:
    """Stepped outlines on a logarithmic axis, so that a thin tail stays visible; range brackets below."""
    shown = info.histograms[:MOST_LINES]
    if not shown:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    fig = figure(380 + 18 * len(shown), rows=[0.8, 0.2], shared_xaxes=True)
    for place, one in enumerate(shown):
        _outline(fig, one)
        _bracket(fig, one, len(shown) - 1 - place)
    smallest = min(float(one.share[one.share > 0].min(initial=1.0)) for one in shown)
    fig.update_yaxes(title=Y_TITLE, type="log", dtick=1, exponentformat="power", row=1, col=1,
                     range=[np.log10(max(smallest, FLOOR)) - 0.3, 0.1])  # fmt: skip
    names = [one.who.label for one in reversed(shown)]
    fig.update_yaxes(title="Range (value)", tickvals=list(range(len(shown))), ticktext=names,
                     range=[-0.6, len(shown) - 0.4], showgrid=False, row=2, col=1)  # fmt: skip
    zero_line(fig, "x")
    fig.update_xaxes(title=X_TITLE, row=2, col=1)
    return left_out(fig, len(shown), len(info.histograms))


def _outline(fig: go.Figure, one: Histogram) -> None:
    x = np.concatenate([one.left, one.right[-1:]])
    y = np.concatenate([one.share, one.share[-1:]])
    fig.add_scatter(
        x=x.astype(np.float32), y=np.where(y > 0, y, FLOOR).astype(np.float32), mode="lines", name=one.who.label,
        line=line_style(one.who) | {"shape": "hv", "width": 1.5}, fill="tozeroy",
        fillcolor=light(colour(one.who.method), 0.08),
        hovertemplate="%{fullData.name}<br>from %{x:.4g}: %{y:.3g}<extra></extra>", row=1, col=1,
    )  # fmt: skip


def _bracket(fig: go.Figure, one: Histogram, place: int) -> None:
    shade, label = colour(one.who.method), one.who.label
    if not np.isfinite(one.lo):
        middle = float(one.left[0] + one.right[-1]) / 2
        what = "not quantized" if one.bits >= FULL_PRECISION else "no range: codewords"
        fig.add_annotation(text=what, x=middle, y=place, showarrow=False, row=2, col=1)
        return
    fig.add_scatter(x=[one.lo, one.hi], y=[place, place], mode="lines+markers", name=f"{label}, range",
                    line={"color": shade, "width": 2}, marker={"symbol": "line-ns", "size": 14, "color": shade,
                    "line": {"width": 2, "color": shade}}, hovertemplate="%{fullData.name}: %{x:.4g}<extra></extra>",
                    row=2, col=1)  # fmt: skip
    if len(one.levels):
        fig.add_scatter(x=one.levels, y=np.full(len(one.levels), float(place)), mode="markers", name=f"{label}, levels",
                        marker={"symbol": "line-ns", "size": 8, "line": {"width": 1, "color": shade}},
                        hovertemplate="level %{x:.4g}<extra></extra>", row=2, col=1)  # fmt: skip
