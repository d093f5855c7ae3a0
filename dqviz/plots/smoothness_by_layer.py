"""Smoothness, change, error and multiplier by layer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.info import Line
from dqviz.analysis.infos.smoothness_by_layer import SmoothnessByLayer
from dqviz.columns import Column
from dqviz.plots.draw import empty, figure, zero_line
from dqviz.plots.lines import Panel, draw_panel, panels, titled, wide_range
from dqviz.plots.style import colour

X_TITLE = f"{Column.STEP.label} (number)"
ENERGY = "Energy (tr HᵀLH / tr HᵀH)"
CHANGE = "Change (‖H − H₋₁‖² / ‖H₋₁‖²)"
ERROR = "Relative error (‖H − H₀‖ / ‖H₀‖)"
MULTIPLIER = "λ (multiplier)"
PANEL_PX = 215


def plot_smoothness_by_layer(info: SmoothnessByLayer) -> go.Figure:
    """Small panels over layers; thin lines are the energy with quantizers off."""
    shown = [panel for name, title, lines in (
        ("Scale-free energy", ENERGY, info.energies), ("Change to the layer before", CHANGE, info.changes),
        ("Quantization error", ERROR, info.errors), ("Multiplier of the constraint", MULTIPLIER, info.multipliers),
    ) for panel in titled(name, panels(lines, title, log_y=title != MULTIPLIER and wide_range(lines)))]  # fmt: skip
    if not shown:
        return empty(info.sentence, X_TITLE, ENERGY)
    fig = figure(PANEL_PX * len(shown) + 60, rows=[1.0] * len(shown), titles=[panel.title for panel in shown],
                 shared_xaxes=True)  # fmt: skip
    for row, panel in enumerate(shown, start=1):
        if panel.y_title == ENERGY:
            _twins(fig, panel, info.twins, row)
        draw_panel(fig, panel, row, PANEL_PX)
        if panel.y_title == MULTIPLIER:
            zero_line(fig, "y", row=row, col=1)
        elif not panel.log_y:
            fig.update_yaxes(rangemode="tozero", row=row, col=1)
    _layers(fig, shown)
    return fig


def _twins(fig: go.Figure, panel: Panel, twins: tuple[Line, ...], row: int) -> None:
    here = {line.who for line in panel.lines}
    for twin in (twin for twin in twins if twin.who in here):
        fig.add_scatter(x=twin.x, y=twin.y, mode="lines", name=twin.label, row=row, col=1,
                        line={"color": colour(twin.who.method), "width": 1},
                        hovertemplate="%{fullData.name}<br>%{x}: %{y:.4g}<extra></extra>")  # fmt: skip


def _layers(fig: go.Figure, shown: list[Panel]) -> None:
    """One axis of whole numbers below all panels, with room for markers at both ends."""
    deepest = max(float(np.max(line.x)) for panel in shown for line in panel.lines)
    fig.update_xaxes(range=[1 - 0.02 * deepest, 1.02 * deepest], dtick=1 if deepest <= 16 else None)
    fig.update_xaxes(title=X_TITLE, row=len(shown), col=1)
