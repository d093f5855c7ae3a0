"""Lines with bands: the drawing behind most charts, at most seven in a panel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from dqviz.analysis.group import bits_label
from dqviz.analysis.info import Line
from dqviz.analysis.view import Floats
from dqviz.plots.draw import Label, coordinate, direct_labels, shifted
from dqviz.plots.style import MOST_LINES, colour, light, line_style, marker

SETTINGS = re.compile(r" \(([^()]*)\)")
"""What analysis.group puts into a label where runs differ in settings or in the bits of a site."""
DEFAULTS = "default settings"
SPLITS = ("arch", "dataset", "profile", "bits", "method")
MANY_POINTS = 40


@dataclass(frozen=True)
class Panel:
    """Lines that share one pair of axes. `degree_x`: x is logarithmic, with 0 where in-degree 0 stands."""

    lines: tuple[Line, ...]
    y_title: str
    title: str = ""
    log_y: bool = False
    degree_x: bool = False


def panels(
    lines: Sequence[Line], y_title: str, *, log_y: bool = False, degree_x: bool = False, splits: Sequence[str] = SPLITS
) -> list[Panel]:
    """One panel, or small multiples of at most seven lines: by the first of `splits` that gives them.

    Lines that would look the same, because only settings of the method tell them apart, stand in panels of their own.
    """
    drawn = [line for line in lines if line.finite.any()]
    found = [
        (", ".join(filter(None, (own, title))), part)
        for own, some in _apart(drawn)
        for title, part in _split(some, splits)
    ]
    return [Panel(tuple(part), y_title, title, log_y, degree_x) for title, part in found]


def titled(name: str, shown: Sequence[Panel]) -> list[Panel]:
    """Panels with `name` before their own titles."""
    return [replace(panel, title=", ".join(filter(None, (name, panel.title)))) for panel in shown]


def _apart(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """(settings, lines) where two lines have one look: "QAT INT8 (observer mom)" becomes "QAT INT8" there."""
    looks = [(line.who.method, line.who.bits, line.who.arch, line.who.dataset, line.who.profile) for line in lines]
    if len(set(looks)) == len(looks):
        return [("", list(lines))]
    parts: dict[str, list[Line]] = {}
    for line in lines:
        found = SETTINGS.search(line.label)
        name = line.label.replace(found.group(), "") if found else line.label
        parts.setdefault(found.group(1) if found else DEFAULTS, []).append(replace(line, name=name))
    return list(parts.items())


def _split(lines: Sequence[Line], splits: Sequence[str] = SPLITS) -> list[tuple[str, list[Line]]]:
    if len(lines) <= MOST_LINES:
        return [("", list(lines))] if lines else []
    for attribute in splits:
        parts: dict[str, list[Line]] = {}
        for line in lines:
            parts.setdefault(_value(line, attribute), []).append(line)
        if len(parts) > 1 and max(map(len, parts.values())) <= MOST_LINES:
            return list(parts.items())
    chunks = [list(lines[i : i + MOST_LINES]) for i in range(0, len(lines), MOST_LINES)]
    return [(f"Part {i} of {len(chunks)}", chunk) for i, chunk in enumerate(chunks, start=1)]


def _value(line: Line, attribute: str) -> str:
    """What a panel of such lines is called."""
    if attribute == "bits":
        return bits_label(line.who.bits)
    value = str(getattr(line.who, attribute))
    return value.upper() if attribute == "arch" else value


def wide_range(lines: Sequence[Line]) -> bool:
    """Whether the values need a logarithmic axis: all positive and over more than one order of magnitude."""
    values = np.concatenate([line.y[line.finite] for line in lines]) if lines else np.zeros(0)
    return bool(len(values) and values.min() > 0 and values.max() / values.min() > 10)


def draw_panel(fig: go.Figure, panel: Panel, row: int, height: float) -> None:
    """Bands first, then whiskers, then lines, then a label at the end of each line."""
    for line in panel.lines:
        _band(fig, line, panel, row)
    if len(panel.lines) <= 3:
        for line in panel.lines:
            _quartiles(fig, line, panel, row)
    for line in panel.lines:
        _line(fig, line, panel, row)
    pixels = 0.68 * height / max(_height(panel), 1e-12)
    ends = [Label(line.label, float(_x(line, panel)[line.finite][-1]), float(line.y[line.finite][-1]))
            for line in panel.lines]  # fmt: skip
    direct_labels(fig, ends, pixels, log=(panel.degree_x, panel.log_y), row=row)
    fig.update_yaxes(title=panel.y_title, type="log" if panel.log_y else "linear", row=row, col=1)
    if panel.log_y:
        fig.update_yaxes(dtick="D2" if wide_range(panel.lines) else None, exponentformat="power", row=row, col=1)


def _height(panel: Panel) -> float:
    """What the y axis spans, in its own units."""
    drawn = [part for line in panel.lines for part in (line.y, line.low, line.high)]
    places = [coordinate(float(value), panel.log_y) for part in drawn for value in part]
    known = [place for place in places if np.isfinite(place)]
    return max(known) - min(known) if known else 0.0


def _x(line: Line, panel: Panel) -> Floats:
    return shifted(line.x) if panel.degree_x else np.asarray(line.x, dtype=np.float64)


def _line(fig: go.Figure, line: Line, panel: Panel, row: int) -> None:
    symbols = len(line.x) <= MANY_POINTS
    fig.add_scatter(
        x=_x(line, panel)[line.finite], y=line.y[line.finite], name=line.label, line=line_style(line.who),
        mode="lines+markers" if symbols else "lines",
        marker={"symbol": marker(line.who.arch), "size": 7, "color": colour(line.who.method)},
        hovertemplate="%{fullData.name}<br>%{x:.4g}: %{y:.4g}<extra></extra>", row=row, col=1,
    )  # fmt: skip


def _band(fig: go.Figure, line: Line, panel: Panel, row: int) -> None:
    if not len(line.low):
        return
    use = line.finite & np.isfinite(line.low) & np.isfinite(line.high)
    if not use.any():
        return
    x, low, high = _x(line, panel)[use], line.low[use], line.high[use]
    if panel.log_y:
        low = np.maximum(low, 0.5 * line.y[use])
    fig.add_scatter(x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines",
                    line={"width": 0}, fillcolor=light(colour(line.who.method)), hoverinfo="skip",
                    name=f"{line.label}, 95 % interval", row=row, col=1)  # fmt: skip


def _quartiles(fig: go.Figure, line: Line, panel: Panel, row: int) -> None:
    if not len(line.median):
        return
    use = np.isfinite(line.median)
    middle = line.median[use]
    fig.add_scatter(
        x=_x(line, panel)[use], y=middle, mode="markers", name=f"{line.label}, median and quartiles",
        marker={"symbol": "line-ew", "size": 9, "line": {"width": 2, "color": colour(line.who.method)}},
        error_y={"array": line.q75[use] - middle, "arrayminus": middle - line.q25[use], "width": 0, "thickness": 1,
                 "color": light(colour(line.who.method), 0.55)},
        hovertemplate="%{fullData.name}<br>%{x:.4g}: %{y:.4g}<extra></extra>", row=row, col=1,
    )  # fmt: skip
