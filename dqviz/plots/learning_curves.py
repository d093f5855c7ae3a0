"""Loss or accuracy over epochs."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.learning_curves import LearningCurves
from dqviz.columns import Column
from dqviz.plots.draw import empty, figure
from dqviz.plots.lines import draw_panel, panels

PANEL_PX = 320


def plot_learning_curves(info: LearningCurves) -> go.Figure:
    x_title = f"{Column.EPOCH.label} (number)"
    shown = panels(info.lines, info.column.axis)
    if not shown:
        return empty(info.sentence, x_title, info.column.axis)
    fig = figure(
        PANEL_PX * len(shown) + 50, rows=[1.0] * len(shown), titles=[p.title for p in shown], shared_xaxes=True
    )
    for row, panel in enumerate(shown, start=1):
        draw_panel(fig, panel, row, PANEL_PX)
    fig.update_xaxes(title=x_title, row=len(shown), col=1)
    return fig
