"""Error at one site against in-degree."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.error_by_degree import ErrorByDegree
from dqviz.columns import Column
from dqviz.plots.by_degree import degree_figure
from dqviz.plots.draw import empty
from dqviz.plots.lines import panels, wide_range
from dqviz.plots.style import NEUTRAL

ROUNDING_ALONE = 12**-0.5
"""rmse / step of pure rounding: an error spread evenly over one step has standard deviation step / sqrt(12)."""

TITLES = {
    Column.ERROR_MEAN: "Relative error (‖e‖ / ‖x‖)",
    Column.MSE: "Mean squared error (value²)",
    Column.SQNR_DB: Column.SQNR_DB.axis,
    Column.RMSE_SCALE: "Root mean squared error (steps)",
}


def plot_error_by_degree(info: ErrorByDegree) -> go.Figure:
    """Mean with its 95 % band; with at most three groups also median and quartiles over nodes."""
    title = TITLES[info.metric]
    if not any(line.finite.any() for line in info.lines):
        return empty(info.sentence, Column.DEGREE.axis, title)
    log_y = info.metric != Column.SQNR_DB and wide_range(info.lines)
    shown = panels(info.lines, title, log_y=log_y, degree_x=True)
    fig = degree_figure(shown, info.nodes)
    if info.metric == Column.RMSE_SCALE:
        for row in range(1, len(shown) + 1):
            fig.add_hline(y=ROUNDING_ALONE, line={"color": NEUTRAL, "dash": "dot", "width": 1.5}, row=row, col=1,
                          annotation={"text": "rounding alone, 1/√12", "font": {"size": 11}, "xanchor": "left", "x": 0},
                          annotation_position="top left")  # fmt: skip
    return fig
