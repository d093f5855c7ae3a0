"""Lines over the sites of a network in order of execution: error of each, and bits used by each."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dqviz.analysis.infos.levels_used import LevelsUsed
from dqviz.analysis.infos.site_errors import SiteErrors
from dqviz.columns import Column
from dqviz.naming import site_name
from dqviz.plots.draw import empty, figure
from dqviz.plots.lines import Panel, draw_panel, panels, wide_range
from dqviz.plots.style import NEUTRAL

X_TITLE = "Site (in order of execution)"
PANEL_PX = 280


def plot_site_errors(info: SiteErrors) -> go.Figure:
    y_title = f"Relative {info.kind} error (‖e‖ / ‖x‖)"
    shown = panels(info.lines, y_title, log_y=wide_range(info.lines))
    return _over_sites(shown, info.keys) if shown else empty(info.sentence, X_TITLE, y_title)


def plot_levels_used(info: LevelsUsed) -> go.Figure:
    """Entropy of the occupation; dotted lines at the bits that are there."""
    y_title = Column.ENTROPY_BITS.axis
    shown = panels(info.lines, y_title)
    if not shown:
        return empty(info.sentence, X_TITLE, y_title)
    fig = _over_sites(shown, info.keys)
    for row in range(1, len(shown) + 1):
        for bits in sorted(set(info.available)):
            fig.add_hline(y=bits, line={"color": NEUTRAL, "dash": "dot", "width": 1}, row=row, col=1,
                          annotation={"text": f"{bits} bits available", "font": {"size": 11}},
                          annotation_position="top left")  # fmt: skip
        fig.update_yaxes(range=[0, max(info.available) * 1.12], row=row, col=1)
    return fig


def _over_sites(shown: Sequence[Panel], keys: Sequence[str]) -> go.Figure:
    fig = figure(PANEL_PX * len(shown) + 110, rows=[1.0] * len(shown), titles=[p.title for p in shown],
                 shared_xaxes=True)  # fmt: skip
    for row, panel in enumerate(shown, start=1):
        draw_panel(fig, panel, row, PANEL_PX)
    fig.update_xaxes(tickvals=list(range(len(keys))), ticktext=list(map(site_name, keys)), tickangle=-40,
                     showgrid=False, range=[-0.4, len(keys) - 0.6])  # fmt: skip
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
    return fig
