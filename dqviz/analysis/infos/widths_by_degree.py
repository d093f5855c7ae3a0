"""Bits and step against in-degree: how a method shares its bits among nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, at_site, identify, means_over_seeds, over_seeds, select, stack
from dqviz.analysis.infos.error_by_degree import BIN, node_strip
from dqviz.analysis.words import NOTHING, degree, listing, number

MEASURES = ("mean_bits", "mean_step")
SAME = 0.05
"""Bits that differ by less are called the same."""


@dataclass(frozen=True, eq=False)
class WidthsByDegree(Info):
    """`bits`, `steps`: one line a group each; `nodes` (dataset, degree, nodes) is the strip below."""

    key: str
    bits: tuple[Line, ...]
    steps: tuple[Line, ...]
    nodes: pd.DataFrame


def widths_by_degree(groups: Sequence[Group], key: str) -> WidthsByDegree:
    """`groups` of the widths table at one site. Means over seeds with their interval."""
    found = select(groups, lambda frame: at_site(frame, key))
    bits, steps, tables = [], [], []
    for group in found:
        table = means_over_seeds(group.frames, BIN, ["nodes", "degree", *MEASURES])
        bits.append(_line(group, table, "mean_bits"))
        steps.append(_line(group, table, "mean_step"))
        tables.append(identify(table, group))
    alt = f"Bits a value and step size at {key} against in-degree, node counts below."
    return WidthsByDegree(_sentence(bits, key), alt, stack(tables, ["degree", *MEASURES]), key, tuple(bits),
                          tuple(steps), node_strip(found))  # fmt: skip


def _line(group: Group, table: pd.DataFrame, name: str) -> Line:
    values = over_seeds(group.frames, BIN, name)
    arrays = (table["degree"], values["mean"], values["low"], values["high"])
    return Line(group.identity, *(column.to_numpy(dtype=np.float64) for column in arrays))


def _sentence(bits: Sequence[Line], key: str) -> str:
    """Who gives nodes of high in-degree more bits, who fewer, and who all the same."""
    known = [line for line in bits if line.finite.any()]
    if not known:
        return NOTHING
    changing = [line for line in known if abs(_change(line)) >= SAME]
    parts = [_part(line) for line in changing]
    same = [line.label for line in known if line not in changing]
    if same:
        verb = "gives" if len(same) == 1 else "give"
        parts.append(f"{listing(same)} {verb} every node the same")
    return f"At {key} {'; '.join(parts)}."


def _change(line: Line) -> float:
    values = line.y[line.finite]
    return float(values[-1] - values[0])


def _part(line: Line) -> str:
    x, y = line.x[line.finite], line.y[line.finite]
    verb = "rise" if y[-1] > y[0] else "fall"
    return (f"the bits of {line.label} {verb} from {number(float(y[0]), 2)} at in-degree {degree(float(x[0]))} to "
            f"{number(float(y[-1]), 2)} at {degree(float(x[-1]))}")  # fmt: skip
