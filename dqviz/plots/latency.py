"""Measured times as bars with whiskers: whole models, and single operations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.latency import Bar, Latency
from dqviz.columns import Column
from dqviz.plots.draw import empty, figure, left_out
from dqviz.plots.style import MOST_LINES, NEUTRAL, PRECISIONS

Y_TITLE = "Backend"
ROW_PX = 26
MOST_WHISKER = 2.0
"""A panel ends at twice its longest median at most: one disturbed variant must not flatten all others."""


def plot_latency_bars(info: Latency) -> go.Figure:
    """One panel a model and graph: median as a bar, p10 to p90 as a whisker; speed-up and accuracy beside it."""
    return _bars(info)


def plot_latency_operations(info: Latency) -> go.Figure:
    """One panel an operation and graph, at most seven."""
    return _bars(info)


def _bars(info: Latency) -> go.Figure:
    shown = info.panels[:MOST_LINES]
    if not shown:
        return empty(info.sentence, Column.MEDIAN_MS.axis, Y_TITLE)
    rows = [max(len(bars), 2) for _, bars in shown]
    fig = figure(ROW_PX * sum(rows) + 62 * len(rows) + 30, rows=[r / sum(rows) for r in rows],
                 titles=[name for name, _ in shown])  # fmt: skip
    for row, (_, bars) in enumerate(shown, start=1):
        _panel(fig, bars, row)
    fig.update_xaxes(title=Column.MEDIAN_MS.axis, row=len(rows), col=1)
    fig.update_yaxes(title={"text": Y_TITLE, "standoff": 16}, row=(len(rows) + 1) // 2, col=1)
    fig.update_layout(margin_r=150)
    return left_out(fig, len(shown), len(info.panels), "panels")


def _panel(fig: go.Figure, bars: Sequence[Bar], row: int) -> None:
    median, p10, p90 = (np.array([getattr(bar, name) for bar in bars]) for name in ("median", "p10", "p90"))
    names = [bar.label for bar in bars]
    end = 1.03 * min(float(np.max(p90)), MOST_WHISKER * float(np.max(median)))
    fig.add_bar(
        x=median, y=names, orientation="h", name="median",
        marker_color=[PRECISIONS.get(bar.precision, NEUTRAL) for bar in bars],
        error_x={"array": p90 - median, "arrayminus": median - p10, "thickness": 1.5, "width": 4, "color": NEUTRAL},
        hovertemplate="%{y}: %{x:.4g} ms<extra></extra>", row=row, col=1,
    )  # fmt: skip
    for bar in bars:
        fig.add_annotation(text=_text(bar), x=min(bar.p90, end), y=bar.label, xanchor="left", xshift=6, showarrow=False,
                           font={"size": 11}, row=row, col=1)  # fmt: skip
    fig.update_yaxes(autorange="reversed", showgrid=False, row=row, col=1)
    fig.update_xaxes(range=[0, end], row=row, col=1)


def _text(bar: Bar) -> str:
    """'0.84 ms, 2.1 times, 78.2 %': time, speed-up against the fastest FP32, accuracy; and what is not exact."""
    parts = [f"{bar.median:.3g} ms"]
    if bar.precision != "fp32" and np.isfinite(bar.speedup):
        parts.append(f"{bar.speedup:.2g} times")
    if np.isfinite(bar.accuracy):
        parts.append(f"{100 * bar.accuracy:.1f} %")
    if bar.exact is False:
        parts.append("not exact")
    return ", ".join(parts)
