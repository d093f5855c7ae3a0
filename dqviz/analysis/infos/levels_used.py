"""How many of the bits paid for are really used, site by site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, identify, means_over_seeds, over_seeds, select, stack
from dqviz.analysis.words import NOTHING, number


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
    lines, tables, available = [], [], []
    for group in chosen:
        table = means_over_seeds(group.frames, ["key"], ["levels_used", "levels_total", "bits", "clipped_share"])
        found = over_seeds(group.frames, ["key"], "entropy_bits")
        table = table.assign(entropy_bits=found["mean"], low=found["low"], high=found["high"])
        table = table.sort_values("key", key=lambda column: column.map(keys.index))
        x = table["key"].map(keys.index).to_numpy(dtype=np.float64)
        lines.append(Line(group.identity, x, *(table[n].to_numpy(dtype=np.float64) for n in
                                               ("entropy_bits", "low", "high"))))  # fmt: skip
        available.append(int(table["bits"].max()))
        tables.append(identify(table.drop(columns=["low", "high", "bits"]), group))
    alt = "Entropy of the level occupation in bits at every site, one line a group of runs, dotted lines at the bits."
    return LevelsUsed(_sentence(lines, keys, available), alt, stack(tables, ["key", "entropy_bits"]), tuple(keys),
                      tuple(lines), tuple(available))  # fmt: skip


def _sentence(lines: Sequence[Line], keys: Sequence[str], available: Sequence[int]) -> str:
    told = [(float(line.y[i] / bits), float(line.y[i]), bits, line, int(line.x[i]))
            for line, bits in zip(lines, available, strict=True) if line.finite.any()
            for i in [int(np.nanargmin(line.y))]]  # fmt: skip
    if not told:
        return NOTHING
    _, entropy, bits, line, at = min(told, key=lambda t: t[0])
    return f"{line.label} uses its levels least at {keys[at]}: {number(entropy, 2)} of {bits} bits."
