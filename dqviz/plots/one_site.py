"""What one site at fewer bits costs: a row a site, a mark a method."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dqviz.analysis.infos.one_site import OneSite, SiteCost
from dqviz.plots.draw import empty, figure, whisker, zero_line
from dqviz.plots.style import colour, marker

X_TITLE, Y_TITLE = "Change of test accuracy (points)", "Site (kind)"
ROW_PX = 34


def plot_one_site(info: OneSite) -> go.Figure:
    """One panel a data set and architecture; left of zero the site costs accuracy."""
    places = list(dict.fromkeys((cost.who.dataset, cost.who.arch) for cost in info.costs))
    if not places:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    several = len({dataset for dataset, _ in places}) > 1
    parts = [[cost for cost in info.costs if (cost.who.dataset, cost.who.arch) == place] for place in places]
    titles = [f"{arch.upper()}, {dataset}" if several else arch.upper() for dataset, arch in places]
    heights = [ROW_PX * len(_sites(info, part)) + 20 for part in parts]
    fig = figure(sum(heights) + 62 * len(parts) + 40, rows=[h / sum(heights) for h in heights], titles=titles,
                 shared_xaxes=True)  # fmt: skip
    for row, part in enumerate(parts, start=1):
        _panel(fig, part, _sites(info, part), row)
    fig.update_xaxes(title=X_TITLE, row=len(parts), col=1)
    # Above the title of the first panel: 24 of the pixels that the panels share.
    fig.update_layout(showlegend=True, margin_t=64, legend={
        "orientation": "h", "x": 1, "xanchor": "right", "y": 1 + 24 / (fig.layout.height - 100), "yanchor": "bottom",
    })  # fmt: skip
    return fig


def _sites(info: OneSite, part: Sequence[SiteCost]) -> list[str]:
    here = {cost.site for cost in part}
    return [site for site in info.sites if site in here]


def _panel(fig: go.Figure, part: Sequence[SiteCost], sites: Sequence[str], row: int) -> None:
    methods = list(dict.fromkeys(cost.who.method for cost in part))
    for cost in part:
        shift = 0.0 if len(methods) == 1 else 0.16 - 0.32 * methods.index(cost.who.method) / (len(methods) - 1)
        _mark(fig, cost, len(sites) - 1 - sites.index(cost.site) + shift, row)
    zero_line(fig, "x", row=row, col=1)
    fig.update_yaxes(title={"text": Y_TITLE, "standoff": 12}, tickvals=list(range(len(sites))), ticktext=sites[::-1],
                     range=[-0.6, len(sites) - 0.4], showgrid=False, row=row, col=1)  # fmt: skip


def _mark(fig: go.Figure, cost: SiteCost, place: float, row: int) -> None:
    shade = colour(cost.who.method)
    fig.add_scatter(x=[100 * cost.mean], y=[place], mode="markers", name=cost.who.label, text=[cost.site],
                    legendgroup=cost.who.label, showlegend=not any(one.name == cost.who.label for one in fig.data),
                    marker={"symbol": marker(cost.who.arch), "size": 9, "color": shade},
                    hovertemplate="%{fullData.name}, %{text}: %{x:.1f} points<extra></extra>", row=row, col=1,
                    **whisker(100 * cost.mean, 100 * cost.low, 100 * cost.high, shade))  # fmt: skip
