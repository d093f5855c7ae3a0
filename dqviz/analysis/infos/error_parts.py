"""Rounding against clipping at one site, by in-degree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group, Identity
from dqviz.analysis.info import Info, at_site, identify, means_over_seeds, select, stack
from dqviz.analysis.infos.error_by_degree import BIN, node_strip
from dqviz.analysis.tables import LOCAL
from dqviz.analysis.view import FULL_PRECISION, Floats
from dqviz.analysis.words import NOTHING, percent
from dqviz.naming import place


@dataclass(frozen=True, eq=False)
class Parts:
    """Mean squared error of one group split in two; all [bins]."""

    who: Identity
    degree: Floats
    rounding: Floats
    clipping: Floats

    @property
    def clipping_share(self) -> Floats:
        total = self.rounding + self.clipping
        return np.where(total > 0, self.clipping / np.where(total > 0, total, 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class ErrorParts(Info):
    key: str
    parts: tuple[Parts, ...]
    nodes: pd.DataFrame


def error_parts(groups: Sequence[Group], key: str) -> ErrorParts:
    """`groups` of the degree table; the local error of site `key`, averaged over seeds.

    Full precision is left out: it has neither part.
    """
    found = select([g for g in groups if g.bits != FULL_PRECISION], lambda frame: at_site(frame, key, LOCAL))
    parts, tables = [], []
    for group in found:
        columns = ("degree", "mse_rounding", "mse_clipping", "clipped_share")
        table = means_over_seeds(group.frames, BIN, columns)
        parts.append(Parts(group.identity, *(table[name].to_numpy(dtype=np.float64) for name in columns[:3])))
        tables.append(identify(table, group))
    alt = f"Mean squared error at {place(key)} against in-degree, split into rounding and clipping, one panel a group."
    return ErrorParts(_sentence(parts, key), alt, stack(tables, ["degree", "mse_rounding", "mse_clipping"]), key,
                      tuple(parts), node_strip(found))  # fmt: skip


def _sentence(parts: Sequence[Parts], key: str) -> str:
    told = []
    for part in parts:
        share = part.clipping_share
        known = share[np.isfinite(share)]
        if len(known):
            told.append((float(known[-1]), float(known[0]), part.who.label))
    if not told:
        return NOTHING
    last, first, label = max(told)
    if last < 0.01:
        return f"At {place(key)} the error is nearly all rounding at every in-degree: wider ranges would not help."
    return (f"At {place(key)} clipping makes {percent(first)} of the squared error of {label} at the lowest in-degrees "
            f"and {percent(last)} at the highest.")  # fmt: skip
