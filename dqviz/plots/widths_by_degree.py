"""Bits, step and error against in-degree."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.widths_by_degree import WidthsByDegree
from dqviz.columns import Column
from dqviz.plots.by_degree import degree_figure
from dqviz.plots.draw import empty
from dqviz.plots.error_by_degree import TITLES
from dqviz.plots.lines import panels, titled, wide_range


def plot_widths_by_degree(info: WidthsByDegree) -> go.Figure:
    """Bits above, step size and relative error below, then node counts."""
    top = panels(info.bits, Column.MEAN_BITS.axis, degree_x=True)
    below = panels(info.steps, Column.MEAN_STEP.axis, degree_x=True, log_y=wide_range(info.steps))
    if not top:
        return empty(info.sentence, Column.DEGREE.axis, Column.MEAN_BITS.axis)
    errors = panels(info.errors, TITLES[Column.ERROR_MEAN], degree_x=True, log_y=wide_range(info.errors))
    shown = [*titled("Bits", top), *titled("Step size", below), *titled("Error at this site", errors)]
    fig = degree_figure(shown, info.nodes, panel_px=230)
    for row in range(1, len(top) + 1):
        fig.update_yaxes(rangemode="tozero", row=row, col=1)
    return fig
