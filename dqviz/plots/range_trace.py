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
PANEL_PX = 320


def plot_range_trace(info: RangeTrace) -> go.Figure:
    """Both ends as lines, a light band between them."""
    shown = panels(info.lines, Y_TITLE)
    if not shown:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    fig = figure(
        PANEL_PX * len(shown) + 50, rows=[1.0] * len(shown), titles=[p.title for p in shown], shared_xaxes=True
    )
    for row, panel in enumerate(shown, start=1):
        for line in panel.lines:
            _ends(fig, line, row)
        height = max(float(np.nanmax(li.high)) for li in panel.lines) - min(
            float(np.nanmin(li.low)) for li in panel.lines
        )
        labels = [Label(line.label, float(line.x[-1]), float(line.high[-1])) for line in panel.lines]
        direct_labels(fig, labels, 0.75 * PANEL_PX / max(height, 1e-12), log=(False, False), row=row)
        zero_line(fig, "y", row=row, col=1)
        fig.update_yaxes(title=Y_TITLE, row=row, col=1)
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
    return fig


def _ends(fig: go.Figure, line: Line, row: int) -> None:
    for values, name, fill in ((line.low, "lower end", None), (line.high, "upper end", "tonexty")):
        fig.add_scatter(x=line.x, y=values, mode="lines", line=line_style(line.who), fill=fill,
                        fillcolor=light(colour(line.who.method), 0.08), name=f"{line.label}, {name}",
                        hovertemplate="%{fullData.name}<br>%{x}: %{y:.4g}<extra></extra>", row=row, col=1)  # fmt: skip
