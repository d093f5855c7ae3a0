"""Rate of each timed operation against the bytes it asks for, with the rate of a plain copy as the line to know."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.infos.roofline import Roofline
from dqviz.plots.draw import empty, figure
from dqviz.plots.style import NEUTRAL, PRECISIONS

X_TITLE, Y_TITLE = "Bytes asked for (MB)", "Rate (GB/s)"
SYMBOLS = {"native": "circle", "numba": "square", "fbgemm": "diamond", "torch-csr": "triangle-up", "pyg": "x"}


def plot_roofline(info: Roofline) -> go.Figure:
    """One mark an operation: colour tells the precision, the symbol the backend."""
    if not info.marks:
        return empty(info.sentence, X_TITLE, Y_TITLE)
    fig = figure(400)
    for precision, backend in dict.fromkeys((mark.precision, mark.backend) for mark in info.marks):
        marks = [mark for mark in info.marks if (mark.precision, mark.backend) == (precision, backend)]
        fig.add_scatter(
            x=[mark.megabytes for mark in marks], y=[mark.gigabytes_s for mark in marks], mode="markers",
            name=f"{precision.upper()} {backend}", text=[mark.label for mark in marks],
            marker={"color": PRECISIONS.get(precision, NEUTRAL), "symbol": SYMBOLS.get(backend, "cross"), "size": 9,
                    "opacity": 0.85},
            hovertemplate="%{text}, %{fullData.name}<br>%{x:.3g} MB at %{y:.3g} GB/s<extra></extra>",
        )  # fmt: skip
    _copy(fig, info)
    fig.update_xaxes(title=X_TITLE, type="log", exponentformat="none", dtick=1)
    fig.update_yaxes(title=Y_TITLE, type="log", exponentformat="none", dtick=1)
    fig.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.22, "yanchor": "top"})
    return fig


def _copy(fig: go.Figure, info: Roofline) -> None:
    """The line that only caches lift an operation above."""
    if info.copy_gb_s is None:
        return
    fig.add_hline(y=info.copy_gb_s, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"})
    fig.add_annotation(text=f"copy of memory: {info.copy_gb_s:.3g} GB/s", x=0, xref="x domain",
                       y=float(np.log10(info.copy_gb_s)), yanchor="bottom", xanchor="left", showarrow=False,
                       font={"size": 12})  # fmt: skip
