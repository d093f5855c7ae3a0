"""Smoothness by layer: how alike neighbours become, what each layer changes, how wrong it is, what the bound does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, identify, means_over_seeds, over_seeds, stack
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import listing, number

MEASURES = ("roughness", "roughness_twin", "change", "layer_error", "multiplier")
TWIN = "quantizers off"
MOST_TWINS = 3
STILL = 1e-6
"""Multipliers that differ by less are one."""
AT_ZERO = "at 0 a row tells nothing but the in-degree of its node"
THIN = " Thin lines: the same weights with quantizers off."
OLD = ("The chosen runs hold no smoothness by layer: they were trained before it was recorded. Runs started now on the "
       "Train page hold it.")  # fmt: skip


@dataclass(frozen=True, eq=False)
class SmoothnessByLayer(Info):
    """One line a group over layers (from 1): scale-free energy, change, error, and the multiplier where there is one.

    `twins`: the energy of the same weights with quantizers off, of up to three quantized groups.
    """

    energies: tuple[Line, ...]
    twins: tuple[Line, ...]
    changes: tuple[Line, ...]
    errors: tuple[Line, ...]
    multipliers: tuple[Line, ...]


def smoothness_by_layer(groups: Sequence[Group]) -> SmoothnessByLayer:
    """`groups` of the smoothness table. Means over seeds with their interval."""
    found = [replace(group, frames=tuple(map(free_of_scale, group.frames))) for group in groups]
    quantized = [group for group in found if group.bits != FULL_PRECISION]
    lines = {name: tuple(_line(group, name) for group in found) for name in MEASURES}
    twins = tuple(_twin(_line(group, "roughness_twin")) for group in quantized if len(quantized) <= MOST_TWINS)
    tables = [identify(means_over_seeds(group.frames, ["step"], MEASURES), group) for group in found]
    alt = ("Scale-free Dirichlet energy, change to the layer before, relative error and multiplier against the "
           "layer, one line a group of seeds, bands are 95 % intervals.")  # fmt: skip
    multipliers = _known(lines["multiplier"])
    said = _sentence(lines["roughness"], lines["layer_error"]) + _bounded(multipliers) + (THIN if twins else "")
    return SmoothnessByLayer(said, alt, stack(tables, ["step", *MEASURES]),
                             lines["roughness"], twins, lines["change"], _known(lines["layer_error"]),
                             multipliers)  # fmt: skip


def free_of_scale(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with `roughness`, tr(H^T L H) / tr(H^T H), and that of the twin; NaN where rows are all zero."""
    names = (("roughness", "energy", "squares"), ("roughness_twin", "energy_twin", "squares_twin"))
    return frame.assign(**{name: frame[part] / frame[whole].where(frame[whole] > 0) for name, part, whole in names})


def _line(group: Group, column: str) -> Line:
    found = over_seeds(group.frames, ["step"], column)
    return Line(group.identity, *(found[name].to_numpy(dtype=np.float64) for name in ("step", "mean", "low", "high")))


def _twin(line: Line) -> Line:
    return Line(line.who, line.x, line.y, name=f"{line.label}, {TWIN}")


def _known(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines that say something: errors of quantized networks, multipliers of those that have one."""
    return tuple(line for line in lines if np.nansum(np.abs(line.y)) > 0)


def _sentence(energies: Sequence[Line], errors: Sequence[Line]) -> str:
    """Whose rows end most alike, and whose error is largest at the end."""
    ends = [(line, *_ends(line)) for line in energies if line.finite.any()]
    if not ends:
        return OLD
    line, first, last, depth = min(ends, key=lambda one: one[2])
    lead = "" if len(ends) == 1 else "Neighbours end most alike in "
    text = (f"{lead}{line.label}: the scale-free energy of its rows goes from {number(first, 2)} after layer 1 to "
            f"{number(last, 2)} after layer {depth} ({AT_ZERO}).")  # fmt: skip
    known = [(one, *_ends(one)) for one in _known(errors)]
    if not known:
        return text
    worst, begins, ends_at, depth = max(known, key=lambda one: one[2])
    lead = "The relative error of" if len(known) == 1 else "The relative error is largest in"
    return f"{text} {lead} {worst.label}: {number(begins, 2)} after layer 1, {number(ends_at, 2)} after layer {depth}."


def _bounded(multipliers: Sequence[Line]) -> str:
    """Whose multiplier does not move after the first step, and why."""
    still = [line.label for line in multipliers if line.y.size > 2 and np.ptp(line.y[1:]) < STILL]
    if not still:
        return ""
    return (
        f" The multiplier of {listing(still)} is the same at every step from the second on: it lies at the bound "
        "beyond which a step amplifies, so these runs are one fixed filter and the smoothness bound has no say."
    )


def _ends(line: Line) -> tuple[float, float, int]:
    """First and last known value, and the layer of the last."""
    y = line.y[line.finite]
    return float(y[0]), float(y[-1]), int(line.x[line.finite][-1])
