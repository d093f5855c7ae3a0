"""Accuracy, smoothness and error against the number of layers."""

from __future__ import annotations

import plotly.graph_objects as go

from dqviz.analysis.infos.depth import Depth
from dqviz.columns import Column
from dqviz.plots.draw import empty, figure
from dqviz.plots.lines import Panel, draw_panel, panels, titled, wide_range
from dqviz.plots.smoothness_by_layer import ENERGY, ERROR

X_TITLE = "Layers or propagation steps (number)"
SPLITS = ("bits", "dataset", "profile", "arch", "method")
"""Small multiples by bits first: at one width architectures stand beside each other."""
PANEL_PX, SMALL_PX = 260, 200


def plot_depth(info: Depth) -> go.Figure:
    """A panel a measure, or one a measure and bit width; depth is on a logarithmic axis."""
    shown = [panel for name, title, lines, log_y in (
        ("Test accuracy", Column.TEST_ACCURACY.axis, info.accuracies, False),
        ("Scale-free energy of the output", ENERGY, info.energies, wide_range(info.energies)),
        ("Quantization error of the output", ERROR, info.errors, wide_range(info.errors)),
    ) for panel in titled(name, panels(lines, title, log_y=log_y, degree_x=True, splits=SPLITS))]  # fmt: skip
    if not shown:
        return empty(info.sentence, X_TITLE, Column.TEST_ACCURACY.axis)
    pixels = PANEL_PX if len(shown) <= 3 else SMALL_PX
    fig = figure(pixels * len(shown) + 60, rows=[1.0] * len(shown), titles=[panel.title for panel in shown],
                 shared_xaxes=True)  # fmt: skip
    for row, panel in enumerate(shown, start=1):
        draw_panel(fig, panel, row, pixels)
        if not panel.log_y:
            fig.update_yaxes(rangemode="tozero", row=row, col=1)
    _depths(fig, shown)
    return fig


def _depths(fig: go.Figure, shown: list[Panel]) -> None:
    """The depths that were trained are the ticks, below every panel: many panels are higher than a screen."""
    depths = sorted({float(x) for panel in shown for line in panel.lines for x in line.x})
    fig.update_xaxes(type="log", tickvals=depths, ticktext=[f"{depth:g}" for depth in depths], showticklabels=True)
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
