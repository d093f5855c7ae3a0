"""Groups of runs beside each other: accuracy, paired differences, accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.group import Identity
from dqviz.analysis.infos.compare_table import CompareTable
from dqviz.analysis.infos.paired_differences import PairedDifferences
from dqviz.analysis.infos.pareto import Pareto
from dqviz.columns import Column
from dqviz.plots.draw import Label, direct_labels, empty, figure, wrap, zero_line
from dqviz.plots.style import NEUTRAL, colour, marker

RUN = "Run"
ROW_PX = 30
MOST_NAMED = 12
"""Of more marks only the efficient ones are named: names that make room for each other left the chart."""


def plot_compare_table(info: CompareTable) -> go.Figure:
    """Mean test accuracy with its interval; a published figure is a hollow grey mark."""
    title = Column.TEST_ACCURACY.axis
    if not info.scores:
        return empty(info.sentence, title, RUN)
    fig = _rows([s.who for s in info.scores], title)
    for place, s in enumerate(info.scores):
        _mark(fig, s.who, place, (s.mean, s.low, s.high), f"{s.seeds} seeds")
    known = [(place, s) for place, s in enumerate(info.scores) if np.isfinite(s.reported)]
    if known:
        several = list(dict.fromkeys(s.mark for _, s in known))
        marks = several[0] if len(several) == 1 else "reported (how known: point at it)"
        notes = [wrap(f"{s.mark}{f'; {s.note}' if s.note else ''}") for _, s in known]
        fig.add_scatter(x=[s.reported for _, s in known], y=[p for p, _ in known], mode="markers", name=marks,
                        marker={"symbol": "diamond-tall-open", "size": 11, "color": NEUTRAL},
                        customdata=notes, hovertemplate="%{x:.3f}, %{customdata}<extra></extra>")  # fmt: skip
        fig.add_annotation(text=f"◇ {marks}", x=1, y=1, xref="paper", yref="paper", yanchor="bottom",
                           showarrow=False, font={"size": 12})  # fmt: skip
        fig.update_layout(margin_t=28)
    return fig


def plot_paired_differences(info: PairedDifferences) -> go.Figure:
    """Mean difference in points with its interval; hollow where no difference can be called."""
    title = f"Test accuracy minus {info.baseline} (points)"
    shown = [one for one in info.differences if np.isfinite(one.mean)]
    if not shown:
        return empty(info.sentence, title, RUN)
    fig = _rows([one.who for one in shown], title)
    for place, one in enumerate(shown):
        values = (100 * one.mean, 100 * one.low, 100 * one.high)
        _mark(fig, one.who, place, values, f"{one.pairs} paired seeds", hollow=not one.called)
    zero_line(fig, "x")
    return fig


def plot_pareto(info: Pareto) -> go.Figure:
    """Accuracy against cost (logarithmic); the efficient groups are joined by a neutral line.

    Point at a mark for its name.
    """
    y_title = Column.TEST_ACCURACY.axis
    if not info.points:
        return empty(info.sentence, info.x_title, y_title)
    fig = figure(400)
    best = sorted((p for p in info.points if p.best), key=lambda p: p.cost)
    fig.add_scatter(x=[p.cost for p in best], y=[p.accuracy for p in best], mode="lines", hoverinfo="skip",
                    line={"color": NEUTRAL, "width": 1, "dash": "dot", "shape": "hv"}, name="efficient")  # fmt: skip
    for p in info.points:
        shade = colour(p.who.method)
        fig.add_scatter(x=[p.cost], y=[p.accuracy], mode="markers", name=p.who.label,
                        marker={"symbol": marker(p.who.arch), "size": 11, "color": shade},
                        error_y=_whisker(p.accuracy, p.low, p.high, shade),
                        hovertemplate="%{fullData.name}<br>%{x:.4g}: %{y:.3f}<extra></extra>")  # fmt: skip
    heights = [p.accuracy for p in info.points]
    named = info.points if len(info.points) <= MOST_NAMED else best
    labels = [Label(p.who.label, p.cost, p.accuracy) for p in named]
    direct_labels(fig, labels, 320 / max(max(heights) - min(heights), 1e-3), log=(True, False), row=1)
    fig.update_xaxes(title=info.x_title, type="log")
    fig.update_yaxes(title=y_title)
    return fig


def _rows(groups: Sequence[Identity], x_title: str) -> go.Figure:
    """An empty figure with one row a group, the first on top."""
    fig = figure(90 + ROW_PX * len(groups))
    names = [who.label for who in groups]
    fig.update_yaxes(title={"text": RUN, "standoff": 16}, tickvals=list(range(len(names))), ticktext=names,
                     range=[len(groups) - 0.4, -0.6], showgrid=False)  # fmt: skip
    fig.update_xaxes(title=x_title)
    return fig


def _mark(
    fig: go.Figure, who: Identity, place: int, values: tuple[float, float, float], note: str, hollow: bool = False
) -> None:
    shade, (mean, low, high) = colour(who.method), values
    fig.add_scatter(x=[mean], y=[place], mode="markers", name=who.label, error_x=_whisker(mean, low, high, shade),
                    marker={"symbol": marker(who.arch) + ("-open" if hollow else ""), "size": 11, "color": shade},
                    hovertemplate=f"%{{fullData.name}}: %{{x:.3f}} ({note})<extra></extra>")  # fmt: skip


def _whisker(mean: float, low: float, high: float, shade: str) -> dict[str, object]:
    if not np.isfinite(low) or not np.isfinite(high):
        return {"visible": False}
    return {"array": [high - mean], "arrayminus": [mean - low], "color": shade, "thickness": 1.5, "width": 4}
