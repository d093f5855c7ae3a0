"""Quantile bands by degree group, one panel a group of runs."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.degree_bands import Bands, DegreeBands
from dqviz.plots.draw import empty, figure, left_out, zero_line
from dqviz.plots.style import MOST_LINES, NEUTRAL, colour, light

X_TITLE, Y_TITLE = "Degree group (in-degree, edges)", "Value (as it arrives at the site)"
BANDS = ((0.0, 1.0, 0.10), (0.01, 0.99, 0.16), (0.05, 0.95, 0.24), (0.25, 0.75, 0.38))
PANEL_PX = 210


def plot_degree_bands(info: DegreeBands) -> go.Figure:
    """From light to dark: all values, 1-99 %, 5-95 %, 25-75 %, the median as a line; dotted: the quantizer's range."""
    shown = info.bands[:MOST_LINES]
    if not shown:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    fig = figure(PANEL_PX * len(shown) + 90, rows=[1.0] * len(shown), titles=[b.who.label for b in shown])
    for row, band in enumerate(shown, start=1):
        _bands(fig, band, row)
        for end in (band.lo, band.hi):
            if np.isfinite(end):
                fig.add_hline(y=end, line={"color": NEUTRAL, "dash": "dot", "width": 1.5}, row=row, col=1)
        zero_line(fig, "y", row=row, col=1)
        fig.update_xaxes(
            tickvals=list(range(len(band.names))), ticktext=list(band.names), showgrid=False, row=row, col=1
        )
        fig.update_yaxes(title="Value (at the site)", row=row, col=1)
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
    return left_out(fig, len(shown), len(info.bands))


def _bands(fig: go.Figure, band: Bands, row: int) -> None:
    at = {round(float(q), 4): values for q, values in zip(band.quantiles, band.values, strict=True)}
    x, shade = np.arange(len(band.names), dtype=np.float64), colour(band.who.method)
    for low, high, alpha in BANDS:
        if low in at and high in at:
            fig.add_scatter(x=np.concatenate([x, x[::-1]]), y=np.concatenate([at[high], at[low][::-1]]), fill="toself",
                            mode="lines", line={"width": 0}, fillcolor=light(shade, alpha), hoverinfo="skip",
                            name=f"{100 * low:g} to {100 * high:g} %", row=row, col=1)  # fmt: skip
    for q, values in at.items():
        middle = q == 0.5
        fig.add_scatter(x=x, y=values, mode="lines+markers" if middle else "markers", name=f"{100 * q:g} %",
                        line={"color": shade, "width": 2}, marker={"color": shade, "size": 7 if middle else 3},
                        hovertemplate="%{fullData.name}: %{y:.4g}<extra></extra>", row=row, col=1)  # fmt: skip
