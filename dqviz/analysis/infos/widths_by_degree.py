"""Bits, step and error against in-degree: how a method shares its bits among nodes, and what the error asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, at_site, identify, line_over_seeds, means_over_seeds, select, stack
from dqviz.analysis.infos.error_by_degree import BIN, ends, error_by_degree, node_strip
from dqviz.analysis.tables import LOCAL
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import NOTHING, degree, listing, number
from dqviz.naming import place

MEASURES = ("mean_bits", "mean_step")
SAME = 0.05
"""Bits that differ by less are called the same."""
LEVEL = 0.1
"""An error that changes by a smaller share is called level."""


@dataclass(frozen=True, eq=False)
class WidthsByDegree(Info):
    """`bits`, `steps`, `errors` (relative, local): one line a group; `nodes` (dataset, degree, nodes) is the strip."""

    key: str
    bits: tuple[Line, ...]
    steps: tuple[Line, ...]
    errors: tuple[Line, ...]
    nodes: pd.DataFrame


def widths_by_degree(groups: Sequence[Group], key: str, errors: Sequence[Group] = ()) -> WidthsByDegree:
    """`groups` of the widths table at one site, `errors` of the degree table. Means over seeds with their interval."""
    found = select(groups, lambda frame: at_site(frame, key))
    bits, steps, tables = [], [], []
    for group in found:
        table = means_over_seeds(group.frames, BIN, ["nodes", "degree", *MEASURES])
        bits.append(line_over_seeds(group, table["degree"], BIN, "mean_bits"))
        steps.append(line_over_seeds(group, table["degree"], BIN, "mean_step"))
        tables.append(identify(table, group))
    quantized = [group for group in errors if group.bits != FULL_PRECISION]
    lines = error_by_degree(quantized, key, LOCAL).lines
    alt = f"Bits a value, step size and relative error at {place(key)} against in-degree, node counts below."
    told = _sentence(bits, key) + _evidence(bits, lines) if bits else _elsewhere(groups, key)
    return WidthsByDegree(told, alt, stack(tables, ["degree", *MEASURES]), key,
                          tuple(bits), tuple(steps), lines, node_strip(found))  # fmt: skip


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
        parts.append(f"{listing(same)} {verb} every node the same bits")
    return f"At {place(key)} {'; '.join(parts)}."


def _elsewhere(groups: Sequence[Group], key: str) -> str:
    """Where to look instead: the sites at which rows differ in bits, or else those with a table of bits at all."""
    keys, unequal = set[str](), set[str]()
    for group in groups:
        for frame in group.frames:
            spread = frame.groupby("key")["mean_bits"].agg(lambda bits: bits.max() - bits.min())
            keys |= set(map(str, spread.index))
            unequal |= set(map(str, spread.index[spread >= SAME]))
    if not keys:
        return NOTHING
    told = (
        f"bits differ at {listing(_places(unequal))}" if unequal else f"equal bits are told at {listing(_places(keys))}"
    )
    return f"At {place(key)} all rows share one grid, or have none; {told}."


def _places(keys: set[str]) -> list[str]:
    return [place(key) for key in sorted(keys)]


def _evidence(bits: Sequence[Line], errors: Sequence[Line]) -> str:
    """What the error says: that of equal bits asks for them, that of other bits tells whether they went right.

    Both ways the nodes of larger error would gain from more bits.
    """
    equal = {line.label for line in bits if line.finite.any() and abs(_change(line)) < SAME}
    alike = [line for line in errors if line.label in equal]
    parts = [part for line in alike or errors if (part := _of_error(line, line.label in equal))]
    return f" {' '.join(parts[:2])}" if parts else ""


def _of_error(line: Line, equal: bool) -> str:
    found = ends(line)
    if found is None:
        return ""
    low, first, high, last = found
    if not first > 0:
        return ""
    ratio = last / first
    way = "stays level" if abs(ratio - 1) < LEVEL else "rises" if ratio > 1 else "falls"
    asks = {"rises": "more bits at high in-degree", "falls": "more bits at low in-degree"}.get(way, "neither direction")
    given = "with the same bits for all" if equal else "with these bits"
    return (f"The relative error of {line.label}, {given}, {way} from {number(first)} at in-degree {degree(low)} to "
            f"{number(last)} at {degree(high)}, which supports {asks}.")  # fmt: skip


def _change(line: Line) -> float:
    values = line.y[line.finite]
    return float(values[-1] - values[0])


def _part(line: Line) -> str:
    x, y = line.x[line.finite], line.y[line.finite]
    verb = "rise" if y[-1] > y[0] else "fall"
    return (f"the bits of {line.label} {verb} from {number(float(y[0]), 2)} at in-degree {degree(float(x[0]))} to "
            f"{number(float(y[-1]), 2)} at {degree(float(x[-1]))}")  # fmt: skip
