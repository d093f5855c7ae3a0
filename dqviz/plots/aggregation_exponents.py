"""Fitted exponents of mean and spread after aggregation, beside O(1), O(sqrt n) and O(n)."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.aggregation_exponents import AggregationExponents
from dqviz.plots.draw import empty, figure
from dqviz.plots.growth import draw_exponents
from dqviz.plots.style import NEUTRAL

X_TITLE = "Growth exponent (power of in-degree)"


def plot_aggregation_exponents(info: AggregationExponents) -> go.Figure:
    """One row a group: mean hollow, spread filled; dotted lines at what theory expects."""
    known = [one for one in info.exponents if np.isfinite(one.value)]
    if not known:
        return empty(info.sentence, X_TITLE, "Run")
    fig = figure(150 + 38 * len({one.who.label for one in known}))
    draw_exponents(fig, known, hollow="mean", x_title=X_TITLE)
    fig.update_annotations(yshift=20)  # the legend clears the names of the lines
    for name, power in info.references:
        fig.add_vline(x=power, line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
                      annotation={"text": name, "font": {"size": 12}}, annotation_position="top")  # fmt: skip
    fig.update_layout(margin_t=60)
    return fig
