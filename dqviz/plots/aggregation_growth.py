"""Mean and spread after aggregation against in-degree, beside O(n), O(sqrt n), O(1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.info import Line
from dqviz.analysis.infos.aggregation_growth import AggregationGrowth
from dqviz.columns import Column
from dqviz.plots.by_degree import degree_figure
from dqviz.plots.draw import empty
from dqviz.plots.lines import Panel, panels
from dqviz.plots.style import NEUTRAL


def plot_aggregation_growth(info: AggregationGrowth) -> go.Figure:
    """Spread above, mean below, both logarithmic; each label ends with the fitted exponent."""
    shown = _panels(info.spreads, "Standard deviation (value)", "Spread after aggregation", info, 1)
    shown += _panels(info.means, "Mean (value)", "Mean after aggregation", info, 0)
    if not shown:
        return empty(info.sentence, Column.DEGREE.axis, "Standard deviation (value)")
    fig = degree_figure(shown, info.nodes, panel_px=270)
    for row in range(1, len(shown) + 1):
        for name, x, y in info.references:
            fig.add_scatter(x=x[[0, -1]], y=y[[0, -1]], mode="lines+text", text=["", name], textposition="top left",
                            textfont={"size": 11}, line={"color": NEUTRAL, "dash": "dot", "width": 1.2},
                            hoverinfo="skip", name=name, row=row, col=1)  # fmt: skip
    return fig


def _panels(lines: tuple[Line, ...], y_title: str, title: str, info: AggregationGrowth, which: int) -> list[Panel]:
    named = []
    for line in lines:
        slope = info.slopes[line.label][which]
        text = f"{line.label}, n^{slope:.2f}" if np.isfinite(slope) else line.label
        positive = np.where(np.nan_to_num(line.y) > 0, line.y, np.nan)
        named.append(replace(line, y=positive, name=text))
    found = panels(named, y_title, log_y=True, degree_x=True)
    return [replace(p, title=f"{title}, {p.title}" if p.title else title) for p in found]
