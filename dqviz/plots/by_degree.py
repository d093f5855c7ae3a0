"""Stacked panels over one axis of in-degree with the strip of node counts below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dqviz.plots.draw import STRIP_PX, degree_axis, figure, node_strip
from dqviz.plots.lines import Panel, draw_panel

PANEL_PX = 300


def degree_figure(shown: Sequence[Panel], nodes: pd.DataFrame, panel_px: int = PANEL_PX) -> go.Figure:
    """Panels over in-degree; the last row is the strip of node counts, and only it has the axis title."""
    pixels = [panel_px] * len(shown) + [STRIP_PX]
    fig = figure(sum(pixels) + 60, rows=[p / sum(pixels) for p in pixels], titles=[*(p.title for p in shown), ""],
                 shared_xaxes=True)  # fmt: skip
    for row, panel in enumerate(shown, start=1):
        draw_panel(fig, panel, row, panel_px)
    strip = len(shown) + 1
    node_strip(fig, nodes, strip)
    degrees = np.concatenate([nodes["degree"].to_numpy(dtype=np.float64), *(li.x for p in shown for li in p.lines)])
    for row in range(1, strip):
        degree_axis(fig, degrees, title="", row=row, col=1)
    degree_axis(fig, degrees, row=strip, col=1)
    return fig
