"""How many of the bits paid for are really used, site by site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, identify, means_over_seeds, over_seeds, select, stack
from dqviz.analysis.view import Floats
from dqviz.analysis.words import NOTHING, number
from dqviz.naming import place


@dataclass(frozen=True, eq=False)
class LevelsUsed(Info):
    """One line a group over `keys`; y is the entropy of the level occupation in bits, `available` the bits there."""

    keys: tuple[str, ...]
    lines: tuple[Line, ...]
    available: tuple[int, ...]


def levels_used(groups: Sequence[Group]) -> LevelsUsed:
    """`groups` of the ranges table; untouched sites are left out."""
    chosen = select(groups, lambda frame: frame[frame["entropy_bits"].notna()].sort_values("order"))
    longest = sorted((list(dict.fromkeys(g.frames[0]["key"])) for g in chosen), key=len, reverse=True)
    keys = list(dict.fromkeys(key for names in longest for key in names))
    lines, tables, available, least = [], [], [], []
    for group in chosen:
        table = means_over_seeds(group.frames, ["key"], ["levels_used", "levels_total", "bits", "clipped_share"])
        found = over_seeds(group.frames, ["key"], "entropy_bits")
        table = table.assign(entropy_bits=found["mean"], low=found["low"], high=found["high"])
        table = table.sort_values("key", key=lambda column: column.map(keys.index))
        x = table["key"].map(keys.index).to_numpy(dtype=np.float64)
        lines.append(Line(group.identity, x, *(table[n].to_numpy(dtype=np.float64) for n in
                                               ("entropy_bits", "low", "high"))))  # fmt: skip
        available.append(int(table["bits"].max()))
        least += _least(lines[-1], table["bits"].to_numpy(dtype=np.float64))
        tables.append(identify(table.drop(columns=["low", "high", "bits"]), group))
    alt = "Entropy of the level occupation in bits at every site, one line a group of runs, dotted lines at the bits."
    return LevelsUsed(_sentence(least, keys), alt, stack(tables, ["key", "entropy_bits"]), tuple(keys),
                      tuple(lines), tuple(available))  # fmt: skip


def _least(line: Line, bits: Floats) -> list[tuple[float, float, float, Line, int]]:
    """(share, entropy, bits, line, key's place) of the site that uses the smallest share of its own bits."""
    if not line.finite.any():
        return []
    at = int(np.nanargmin(line.y / bits))
    return [(float(line.y[at] / bits[at]), float(line.y[at]), float(bits[at]), line, int(line.x[at]))]


def _sentence(least: Sequence[tuple[float, float, float, Line, int]], keys: Sequence[str]) -> str:
    if not least:
        return NOTHING
    _, entropy, bits, line, at = min(least, key=lambda t: t[0])
    return f"{line.label} uses its levels least at {place(keys[at])}: {number(entropy, 2)} of {number(bits, 2)} bits."
