"""Accuracy, smoothness and error against the number of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import plotly.graph_objects as go

from dqviz.analysis.info import Line
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
    shown = [
        *measure("Test accuracy", Column.TEST_ACCURACY.axis, info.accuracies, False),
        *measure("Scale-free energy of the output", ENERGY, info.energies, wide_range(info.energies)),
        *measure("Quantization error of the output", ERROR, info.errors, wide_range(info.errors)),
    ]
    if not shown:
        return empty(info.sentence, X_TITLE, Column.TEST_ACCURACY.axis)
    pixels = PANEL_PX if len(shown) <= 3 else SMALL_PX
    fig = figure(pixels * len(shown) + 60, rows=[1.0] * len(shown), titles=[panel.title for panel in shown],
                 shared_xaxes=True)  # fmt: skip
    for row, panel in enumerate(shown, start=1):
        draw_panel(fig, panel, row, pixels)
    _depths(fig, shown)
    return fig


def measure(name: str, y_title: str, lines: Sequence[Line], log_y: bool) -> list[Panel]:
    found = panels(lines, y_title, log_y=log_y, degree_x=True, splits=SPLITS)
    return titled(name, [_short(replace(panel, from_zero=True)) for panel in found])


def _short(panel: Panel) -> Panel:
    """Labels without the bits that the panel's title tells: "QAT, SMP" below "INT4"."""
    width = f" {panel.title}" if panel.title else ""
    return replace(panel, lines=tuple(replace(line, name=line.label.replace(width, "", 1)) for line in panel.lines))


def _depths(fig: go.Figure, shown: list[Panel]) -> None:
    """The depths that were trained are the ticks, below every panel: many panels are higher than a screen."""
    depths = sorted({float(x) for panel in shown for line in panel.lines for x in line.x})
    fig.update_xaxes(type="log", tickvals=depths, ticktext=[f"{depth:g}" for depth in depths], showticklabels=True,
                     tickangle=0)  # fmt: skip
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
