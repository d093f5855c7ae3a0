"""A quantizer's range over epochs."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.info import Line
from dqviz.analysis.infos.range_trace import RangeTrace
from dqviz.plots.draw import Label, direct_labels, empty, figure, zero_line
from dqviz.plots.lines import panels
from dqviz.plots.style import colour, light, line_style

X_TITLE, Y_TITLE = "Epoch (number)", "Range (value at the site)"
PANEL_PX, SMALL_PX = 320, 210


def plot_range_trace(info: RangeTrace) -> go.Figure:
    """Both ends as lines, a light band between them; several panels have one scale."""
    shown = panels(info.lines, Y_TITLE)
    if not shown:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    pixels = PANEL_PX if len(shown) == 1 else SMALL_PX
    fig = figure(pixels * len(shown) + 50, rows=[1.0] * len(shown), titles=[p.title for p in shown],
                 shared_xaxes=True)  # fmt: skip
    every = [line for panel in shown for line in panel.lines]
    low, high = min(float(np.nanmin(li.low)) for li in every), max(float(np.nanmax(li.high)) for li in every)
    height = max(high - low, 1e-12)
    fig.update_yaxes(range=[low - 0.06 * height, high + 0.06 * height])
    for row, panel in enumerate(shown, start=1):
        for line in panel.lines:
            _ends(fig, line, row)
        labels = [Label(line.label, float(line.x[-1]), float(line.high[-1])) for line in panel.lines]
        direct_labels(fig, labels, 0.75 * pixels / height, log=(False, False), row=row)
        zero_line(fig, "y", row=row, col=1)
        fig.update_yaxes(title=Y_TITLE, row=row, col=1)
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
    ends = [float(end) for line in every for end in (line.x[0], line.x[-1])]
    fig.update_xaxes(range=[min(ends), max(*ends, min(ends) + 1)])  # else the labels would widen it
    return fig


def _ends(fig: go.Figure, line: Line, row: int) -> None:
    for values, name, fill in ((line.low, "lower end", None), (line.high, "upper end", "tonexty")):
        fig.add_scatter(x=line.x, y=values, mode="lines", line=line_style(line.who), fill=fill,
                        fillcolor=light(colour(line.who.method), 0.08), name=f"{line.label}, {name}",
                        hovertemplate="%{fullData.name}<br>%{x}: %{y:.4g}<extra></extra>", row=row, col=1)  # fmt: skip
