"""The observed range of one site over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, at_site, identify, over_seeds, select, stack
from dqviz.analysis.infos.learning_curves import MOST_POINTS, thin
from dqviz.analysis.words import NOTHING, growth, number
from dqviz.naming import place


@dataclass(frozen=True, eq=False)
class RangeTrace(Info):
    """One line a group: `y` is the width hi - lo, `low` and `high` the ends of the range."""

    key: str
    lines: tuple[Line, ...]


def range_trace(groups: Sequence[Group], key: str, most: int = MOST_POINTS) -> RangeTrace:
    """`groups` of the sites table; ends averaged over seeds, at most `most` epochs."""
    lines, tables = [], []
    for group in select(groups, lambda frame: at_site(frame, key)):
        ends = [thin(over_seeds(group.frames, ["epoch"], name), most) for name in ("lo", "hi")]
        low, high = (end["mean"].to_numpy(dtype=np.float64) for end in ends)
        epoch = ends[0]["epoch"].to_numpy()
        lines.append(Line(group.identity, epoch, high - low, low, high))
        tables.append(identify(ends[0][["epoch"]].assign(lo=low, hi=high), group))
    alt = f"Lower and upper end of the quantizer's range at {place(key)} over epochs, with a line at zero."
    return RangeTrace(_sentence(lines, key), alt, stack(tables, ["epoch", "lo", "hi"]), key, tuple(lines))


def _sentence(lines: Sequence[Line], key: str) -> str:
    known = [line for line in lines if line.finite.any()]
    if not known:
        return NOTHING
    widest = max(known, key=lambda line: line.y[line.finite][-1])
    width = widest.y[widest.finite]
    text = (f"{widest.label} ends with the widest range at {place(key)}, {number(float(width[-1]))}; over training its "
            f"width {growth(float(width[-1] / width[0]) if width[0] > 0 else np.nan)}")  # fmt: skip
    if len(known) == 1:
        return f"{text}."
    narrowest = min(known, key=lambda line: line.y[line.finite][-1])
    return f"{text}; {narrowest.label} ends with the narrowest, {number(float(narrowest.y[narrowest.finite][-1]))}."
