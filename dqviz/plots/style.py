"""One look everywhere: colour = method, dash = bits, marker = architecture; in light and dark themes."""

from __future__ import annotations

from typing import Any, Literal
from zlib import crc32

import plotly.graph_objects as go

from dqviz.analysis.group import Identity

Theme = Literal["light", "dark"]

NEUTRAL = "#7b8794"
"""Full precision, reference lines and node counts: at least 3.4 : 1 on both backgrounds."""

# Okabe & Ito (2008) first, then Tol's muted scheme (2021); yellow and black are left out, each vanishes in one theme.
METHODS = {
    "fp32": NEUTRAL,
    "ptq": "#e69f00",
    "qat": "#d55e00",
    "nqat": "#cc79a7",
    "dq": "#0f7fc4",
    "qlr": "#009e73",
    "a2q": "#56b4e9",
    "sgquant": "#999933",
    "vq-gnn": "#aa4499",
    "mixq": "#44aa99",
    "hgq": "#7a6fd0",
    "topgq": "#b5651d",
    "vectorwise": "#4c8c1f",
}
OTHERS = ("#6a5acd", "#c05f7e", "#4f9d3a", "#a07d2b", "#3f8f9f", "#b04fc0")
DASHES = {32: "solid", 16: "longdash", 8: "dash", 4: "dot", 3: "longdashdot", 2: "dashdot"}
MARKERS = {"gcn": "circle", "gin": "square", "gat": "diamond", "sage": "triangle-up", "appnp": "x",
           "smp": "star"}  # fmt: skip
PRECISIONS = {"fp32": NEUTRAL, "int8": "#0f7fc4", "int4": "#d55e00", "int2": "#009e73"}
MOST_LINES = 7

_TEXT = {"light": "#1d2730", "dark": "#e6ebf0"}
_GRID = {"light": "#d8dee4", "dark": "#34404c"}
_FAMILY = "Source Sans Pro, Source Sans 3, Segoe UI, Helvetica, Arial, sans-serif"
CLEAR = "rgba(0,0,0,0)"


def colour(method: str) -> str:
    """Hex colour of a method; a name not listed gets one of six others by its checksum, the same everywhere."""
    return METHODS.get(method) or OTHERS[crc32(method.encode()) % len(OTHERS)]


def light(colour: str, alpha: float = 0.16) -> str:
    """The colour as a light band."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def dash(bits: int) -> str:
    return DASHES.get(bits, "longdash")


def marker(arch: str) -> str:
    return MARKERS.get(arch, "cross")


def line_style(who: Identity) -> dict[str, Any]:
    return {"color": colour(who.method), "dash": dash(who.bits), "width": 2}


def template(theme: Theme) -> dict[str, Any]:
    """A plotly template (as JSON) with text and grid of a theme; backgrounds stay transparent."""
    axis = {"gridcolor": _GRID[theme], "linecolor": _GRID[theme], "zerolinecolor": _GRID[theme], "ticks": "",
            "automargin": True, "zeroline": False}  # fmt: skip
    layout: dict[str, Any] = {
        "font": {"color": _TEXT[theme], "family": _FAMILY, "size": 13},
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "xaxis": axis, "yaxis": axis,
        "colorway": list(METHODS.values()), "hoverlabel": {"font": {"family": _FAMILY}},
    }  # fmt: skip
    return {"layout": layout}


def apply(fig: go.Figure, theme: Theme = "light") -> go.Figure:
    """A copy of the figure in a fixed theme, for where no page sets one (reports, pictures)."""
    copy = go.Figure(fig)
    copy.layout.template = template(theme)
    return copy
