"""Gradient error against in-degree."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.gradient_error import GradientError
from dqviz.columns import Column
from dqviz.plots.by_degree import degree_figure
from dqviz.plots.draw import empty, zero_line
from dqviz.plots.lines import panels, titled, wide_range

COSINE = "Cosine (1 = same direction)"
ERROR = "Relative error (‖g − g₀‖ / ‖g₀‖)"


def plot_gradient_error(info: GradientError) -> go.Figure:
    """Direction above (1 is the gradient without quantizers), relative error below, then node counts."""
    top = panels(info.cosines, COSINE, degree_x=True)
    below = panels(info.errors, ERROR, degree_x=True, log_y=wide_range(info.errors))
    if not top:
        return empty(info.sentence, Column.DEGREE.axis, COSINE)
    shown = [*titled("Direction", top), *titled("Relative error", below)]
    fig = degree_figure(shown, info.nodes, panel_px=230)
    for row, panel in enumerate(shown, start=1):
        if panel.y_title == COSINE:
            zero_line(fig, "y", 1.0, row=row, col=1)
        elif not panel.log_y:
            fig.update_yaxes(rangemode="tozero", row=row, col=1)
    return fig
