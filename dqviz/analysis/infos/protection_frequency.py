"""Was each node protected as often as its probability says? Measured during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, identify, select, stack
from dqviz.analysis.words import number, percent

NEVER = ("No frequency to compare: these runs protect no nodes, or are of a graph task, whose graphs pass in other "
         "batches each time and are not counted.")  # fmt: skip


@dataclass(frozen=True, eq=False)
class ProtectionFrequency(Info):
    """One line a group: x = p, y = mean measured share over nodes of that p; `nodes[i]` their number."""

    lines: tuple[Line, ...]
    nodes: tuple[tuple[int, ...], ...]


def protection_frequency(groups: Sequence[Group]) -> ProtectionFrequency:
    """`groups` of the nodes table; nodes of equal probability (equal in-degree) are averaged, seeds pooled."""
    found = select(groups, lambda f: f[f["protected_frequency"].notna() & (f["protection"] > 0)])
    lines, sizes, tables = [], [], []
    for group in found:
        frame = stack([f[["protection", "protected_frequency", "degree"]] for f in group.frames])
        by_p = frame.assign(protection=frame["protection"].round(6)).groupby("protection")
        table = by_p.agg(degree=("degree", "mean"), nodes=("degree", "size"),
                         protected_frequency=("protected_frequency", "mean")).reset_index()  # fmt: skip
        x, y = (table[name].to_numpy(dtype=np.float64) for name in ("protection", "protected_frequency"))
        lines.append(Line(group.identity, x, y))
        sizes.append(tuple(int(n) for n in table["nodes"]))
        tables.append(identify(table, group))
    alt = "Measured share of protected steps against the protection probability, with the diagonal."
    return ProtectionFrequency(_sentence(lines, sizes), alt, stack(tables, ["protection", "protected_frequency"]),
                               tuple(lines), tuple(sizes))  # fmt: skip


def _sentence(lines: Sequence[Line], sizes: Sequence[tuple[int, ...]]) -> str:
    if not lines:
        return NEVER
    x, y = (np.concatenate([getattr(line, axis) for line in lines]) for axis in ("x", "y"))
    w = np.concatenate([np.asarray(size) for size in sizes])
    mean_p, mean_f = np.average(x, weights=w), np.average(y, weights=w)
    off = np.average(np.abs(y - x), weights=w)
    return (f"Nodes were protected in {percent(float(mean_f))} of the steps where {percent(float(mean_p))} was "
            f"expected; over degrees the two differ by {number(float(100 * off), 2)} points on average.")  # fmt: skip
