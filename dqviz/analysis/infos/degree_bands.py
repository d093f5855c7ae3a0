"""Quantiles of a site's values by degree group: the tail that hubs cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group, Identity
from dqviz.analysis.info import Info, at_site, identify, select, stack
from dqviz.analysis.tables import EVERY_NODE
from dqviz.analysis.view import Floats
from dqviz.analysis.words import NOTHING, number, span
from dqviz.naming import place

ALIKE = 1.2
"""Largest values whose ratio is smaller are called the same."""


@dataclass(frozen=True, eq=False)
class Bands:
    """`values` [quantiles, degree groups] at `quantiles`; `names` the in-degrees of each group; the range if known."""

    who: Identity
    names: tuple[str, ...]
    quantiles: Floats
    values: Floats
    lo: float
    hi: float


@dataclass(frozen=True, eq=False)
class DegreeBands(Info):
    key: str
    bands: tuple[Bands, ...]


def degree_bands(groups: Sequence[Group], key: str, ranges: Sequence[Group] = ()) -> DegreeBands:
    """`groups` of the quantiles table (first seed of each); `ranges` adds the quantizer's range."""
    quantizers = {group.identity: at_site(group.frames[0], key) for group in ranges}
    bands, tables = [], []
    for group in select(groups, lambda frame: _by_group(frame, key)):
        frame = group.frames[0]
        wide = frame.pivot_table(index="quantile", columns=["degree_lo", "degree_hi"], values="value").sort_index()
        own = quantizers.get(group.identity)
        lo, hi = (np.nan, np.nan) if own is None or own.empty else (float(own["lo"].iloc[0]), float(own["hi"].iloc[0]))
        names = tuple(span(*pair) for pair in wide.columns.to_list())
        bands.append(Bands(group.identity, names, wide.index.to_numpy(dtype=np.float64), wide.to_numpy(), lo, hi))
        tables.append(identify(frame[["degree_lo", "degree_hi", "quantile", "value"]], group))
    alt = f"Quantiles of the values at {place(key)} for groups of nodes of rising in-degree, one panel a group of runs."
    return DegreeBands(_sentence(bands, key), alt, stack(tables, ["degree_lo", "degree_hi", "quantile", "value"]), key,
                       tuple(bands))  # fmt: skip


def _by_group(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    here = at_site(frame, key)
    return here[here["group"] != EVERY_NODE]


def _sentence(bands: Sequence[Bands], key: str) -> str:
    reaches = [(band, reach) for band in bands if (reach := np.abs(band.values).max(axis=0)).size and reach[0] > 0]
    if not reaches:
        return NOTHING
    band, reach = max(reaches, key=lambda one: one[1][-1] / one[1][0])
    low, high, ratio = float(reach[0]), float(reach[-1]), float(reach[-1] / reach[0])
    if len(band.names) == 1:
        return f"All nodes fall into one degree group at {place(key)}; the largest value there is {number(high)}."
    ends = f"from {number(low)} at in-degree {band.names[0]} to {number(high)} at {band.names[-1]}"
    if ratio >= ALIKE:
        return (f"At {place(key)} the largest value of {band.who.label} rises {ends}: hubs stretch the range "
                f"{number(ratio, 2)} times.")  # fmt: skip
    if all(one.max() < ALIKE * one.min() for _, one in reaches):
        return (
            f"At {place(key)} hubs do not stretch the range: the largest value is much the same in every degree group."
        )
    return f"At {place(key)} hubs do not stretch the range: the largest value of {band.who.label} goes {ends}."
