"""Parts that several charts share: an empty figure, panels, the axis of in-degree, the strip of node counts, labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dqviz.analysis.view import Array, Floats
from dqviz.columns import Column
from dqviz.plots.style import CLEAR, NEUTRAL, light

ZERO_AT = 0.5
"""Where in-degree 0 stands on a logarithmic axis, behind a dotted break, with the tick "0"."""

STRIP_PX = 90
_TICKS = tuple(m * 10**e for e in range(7) for m in (1, 2, 5))


def figure(
    height: int = 380, *, rows: Sequence[float] = (1.0,), titles: Sequence[str] = (), **kwargs: Any
) -> go.Figure:
    """An empty figure of stacked panels in pixels, transparent, without fixed text colours.

    The template is minimal and explicit: a page's own theme lies over it, and the JSON stays small.
    """
    spacing = min(60 / height, 0.9 / max(1, len(rows) - 1)) if len(rows) > 1 else 0.0
    fig = make_subplots(rows=len(rows), cols=1, row_heights=list(rows), vertical_spacing=spacing,
                        subplot_titles=list(titles) or None, **kwargs)  # fmt: skip
    axis = {"automargin": True, "zeroline": False}
    minimal = {"layout": {"paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "xaxis": axis, "yaxis": axis}}
    fig.layout.template = minimal  # assigned: an update would only be merged into plotly's own
    fig.update_layout(paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, height=height, showlegend=False)
    fig.update_layout(hovermode="closest", margin={"l": 10, "r": 20, "t": 34 if any(titles) else 16, "b": 10})
    fig.update_annotations(font_size=13)
    fig.update_xaxes(zeroline=False)
    fig.update_yaxes(zeroline=False)
    return fig


def empty(sentence: str, x_title: str, y_title: str) -> go.Figure:
    """What stands where there is nothing to draw: the axes and a sentence that says what to do."""
    fig = figure(220)
    fig.update_xaxes(title=x_title, showticklabels=False, showgrid=False)
    fig.update_yaxes(title=y_title, showticklabels=False, showgrid=False)
    fig.add_annotation(text=wrap(sentence), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return fig


def left_out(fig: go.Figure, drawn: int, known: int, what: str = "groups") -> go.Figure:
    """The figure, with a word on what there was no room for."""
    if known > drawn:
        fig.update_layout(margin_t=(fig.layout.margin.t or 0) + 22)
        fig.add_annotation(text=f"{drawn} of {known} {what} are drawn", x=1, y=1, xref="paper", yref="paper",
                           xanchor="right", yanchor="bottom", yshift=18, showarrow=False,
                           font={"size": 12, "color": NEUTRAL})  # fmt: skip
    return fig


def wrap(text: str, width: int = 60) -> str:
    """Lines of about `width` letters, for annotations (plotly does not wrap)."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def shifted(degree: Array) -> Floats:
    """In-degree on a logarithmic axis: 0 is drawn at 0.5."""
    return np.maximum(np.asarray(degree, dtype=np.float64), ZERO_AT)


def degree_axis(fig: go.Figure, degree: Array, title: str = Column.DEGREE.axis, **place: Any) -> None:
    """A logarithmic axis of in-degree with plain ticks; "0" behind a dotted break where in-degree 0 occurs."""
    known = np.asarray(degree, dtype=np.float64)
    known = known[np.isfinite(known)] if len(known) else np.ones(1)
    top, isolated = float(max(known.max(), 2)), bool(known.min() < 1)
    ticks = [t for t in _TICKS if t <= top * 1.3]
    values, texts = [float(t) for t in ticks], [f"{t:,}" for t in ticks]
    if isolated:
        values, texts = [ZERO_AT, *values], ["0", *texts]
        fig.add_vline(x=0.71, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, **place)
    low = (0.4 if isolated else 0.85 * max(1.0, known.min()), 1.25 * top)
    fig.update_xaxes(type="log", tickvals=values, ticktext=texts, range=[float(np.log10(v)) for v in low], **place)
    fig.update_xaxes(title=title, **place)


def node_strip(fig: go.Figure, nodes: pd.DataFrame, row: int) -> None:
    """Node counts of each bin as stems with their number, in the last row."""
    many = nodes["dataset"].nunique() > 1
    for i, (dataset, rows) in enumerate(nodes.groupby("dataset", sort=False)):
        x, n = shifted(rows["degree"].to_numpy()), rows["nodes"].to_numpy()
        fig.add_bar(
            x=x, y=n, width=0.16 * x, offset=(i - 0.5) * 0.16 * x, name=f"Nodes, {dataset}" if many else "Nodes",
            marker_color=light(NEUTRAL, 0.75 / (i + 1)), text=[short(value) for value in n], textposition="outside",
            textfont={"size": 10}, cliponaxis=False, row=row, col=1,
            hovertemplate="in-degree %{x:.3g}: %{y} nodes<extra></extra>",
        )  # fmt: skip
    top = float(nodes["nodes"].max()) if len(nodes) else 1.0
    fig.update_yaxes(title="Nodes", type="log", range=[-0.3, np.log10(max(top, 2)) + 0.45], showticklabels=False,
                     showgrid=False, row=row, col=1)  # fmt: skip


def short(value: float) -> str:
    """A count in few letters: 721, 1.2k, 34k."""
    if value < 1_000:
        return f"{value:.0f}"
    return f"{value / 1000:.1f}k" if value < 9_950 else f"{value / 1000:.0f}k"


@dataclass(frozen=True)
class Label:
    """A text at the end of a line."""

    text: str
    x: float
    y: float


def direct_labels(fig: go.Figure, labels: Iterable[Label], pixels: float, *, log: tuple[bool, bool], row: int) -> None:
    """Write labels right of their points, pushed apart so that none covers another (16 px each).

    `pixels` is the height of one unit of y (one decade where it is logarithmic); `log` tells it of x and y.
    """
    placed = [(one.text, coordinate(one.x, log[0]), coordinate(one.y, log[1])) for one in labels]
    placed = sorted((p for p in placed if np.isfinite(p[1]) and np.isfinite(p[2])), key=lambda p: p[2])
    if not placed:
        return
    for (text, x, y), shift in zip(placed, _apart([p[2] * pixels for p in placed]), strict=True):
        fig.add_annotation(text=text, x=x, y=y, yshift=shift, xanchor="left", xshift=8, showarrow=False, align="left",
                           font={"size": 12}, row=row, col=1)  # fmt: skip
    longest = max(len(part) for text, _, _ in placed for part in text.split("<br>"))
    fig.update_layout(margin_r=max(fig.layout.margin.r or 0, min(24 + 6.6 * longest, 220)))


def coordinate(value: float, log: bool) -> float:
    """Where a value stands on its axis: its decimal logarithm on a logarithmic one."""
    if not log:
        return value
    return float(np.log10(value)) if value > 0 else float("nan")


def _apart(wanted: Sequence[float], gap: float = 16.0) -> list[float]:
    """Shifts for ascending places in pixels, the smallest that keep `gap` between neighbours.

    Isotonic regression by pooling adjacent violators: only labels that collide move, each cluster around its middle.
    """
    pools: list[list[float]] = []
    for i, place in enumerate(wanted):
        pools.append([place - gap * i])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = [float(np.mean(pool)) for pool in pools for _ in pool]
    return [level[i] + gap * i - place for i, place in enumerate(wanted)]


def whisker(value: float, low: float, high: float, shade: str) -> dict[str, Any]:
    """A mark's interval along x, where there is one: what `add_scatter` takes."""
    if not np.isfinite(low):
        return {}
    return {"error_x": {"array": [high - value], "arrayminus": [value - low], "color": shade, "width": 3}}


def zero_line(fig: go.Figure, axis: str, at: float = 0.0, **place: Any) -> None:
    """A neutral line where the sign changes; `axis` is the axis the value is on."""
    add = fig.add_hline if axis == "y" else fig.add_vline
    add(**{axis: at}, line={"color": NEUTRAL, "width": 1}, **place)
