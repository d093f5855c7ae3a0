"""Growth exponents with whiskers and a line at zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.growth import Exponent, Growth
from dqviz.plots.draw import empty, figure, whisker, zero_line
from dqviz.plots.style import colour, marker

X_TITLE = "Growth exponent of relative error (power of in-degree)"


def plot_growth(info: Growth) -> go.Figure:
    """One row a group: local error hollow, accumulated filled."""
    known = [e for e in info.exponents if np.isfinite(e.value)]
    if not known:
        return empty(info.sentence, X_TITLE, "Run")
    fig = figure(110 + 38 * len({e.who.label for e in known}))
    draw_exponents(fig, known, hollow="local", x_title=X_TITLE)
    zero_line(fig, "x")
    return fig


def draw_exponents(fig: go.Figure, known: Sequence[Exponent], hollow: str, x_title: str) -> None:
    """One row a group, whiskers for the interval; exponents of the kind `hollow` are hollow marks."""
    labels = list(dict.fromkeys(e.who.label for e in known))
    for one in known:
        _mark(fig, one, len(labels) - 1 - labels.index(one.who.label), one.kind == hollow)
    fig.update_xaxes(title=x_title)
    fig.update_yaxes(title={"text": "Run", "standoff": 16}, tickvals=list(range(len(labels))), ticktext=labels[::-1],
                     range=[-0.6, len(labels) - 0.4], showgrid=False)  # fmt: skip
    kinds = " · ".join(f"{'○' if kind == hollow else '●'} {kind}" for kind in dict.fromkeys(e.kind for e in known))
    fig.add_annotation(text=kinds, x=1, y=1, xref="paper", yref="paper", yanchor="bottom", showarrow=False)
    fig.update_layout(margin_t=28)


def _mark(fig: go.Figure, one: Exponent, place: int, hollow: bool) -> None:
    shade = colour(one.who.method)
    symbol = marker(one.who.arch) + ("-open" if hollow else "")
    fig.add_scatter(x=[one.value], y=[place + (0.12 if hollow else -0.12)], mode="markers",
                    name=f"{one.who.label}, {one.kind}", marker={"symbol": symbol, "size": 10, "color": shade},
                    hovertemplate="%{fullData.name}: %{x:.3f}<extra></extra>",
                    **whisker(one.value, one.low, one.high, shade))  # fmt: skip
