"""Memory of weights and features at each precision."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.held_memory import HeldMemory
from dqviz.plots.draw import empty, figure
from dqviz.plots.style import NEUTRAL, PRECISIONS, light

X_TITLE, Y_TITLE = "Memory (MB)", "Precision (bits a value)"
ROW_PX = 44


def plot_held_memory(info: HeldMemory) -> go.Figure:
    """A bar a precision: features in full colour, weights in a light one behind them."""
    if not info.held:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    fig = figure(ROW_PX * len(info.held) + 90)
    names = [one.precision.upper() for one in info.held]
    colours = [PRECISIONS.get(one.precision, NEUTRAL) for one in info.held]
    features, weights = ([getattr(one, name) for one in info.held] for name in ("features_mb", "model_mb"))
    fig.add_bar(x=features, y=names, orientation="h", name="features", marker_color=colours,
                hovertemplate="%{y} features: %{x:.4g} MB<extra></extra>")  # fmt: skip
    fig.add_bar(x=weights, y=names, orientation="h", name="weights", marker_color=[light(c, 0.45) for c in colours],
                hovertemplate="%{y} weights: %{x:.4g} MB<extra></extra>")  # fmt: skip
    for one in info.held:
        fig.add_annotation(text=f"features {one.features_mb:.3g} MB, weights {one.model_mb:.3g} MB", xanchor="left",
                           x=one.features_mb + one.model_mb, y=one.precision.upper(), xshift=6, showarrow=False,
                           font={"size": 11})  # fmt: skip
    fig.update_layout(barmode="stack", margin_r=190)
    fig.update_xaxes(title=X_TITLE, rangemode="tozero")
    fig.update_yaxes(title={"text": Y_TITLE, "standoff": 16}, autorange="reversed", showgrid=False)
    return fig
