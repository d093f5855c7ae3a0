"""Values that arrive at a site, with the quantizer's range and levels drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group, Identity
from dqviz.analysis.info import Info, at_site, identify, select, stack
from dqviz.analysis.tables import EVERY_NODE
from dqviz.analysis.view import FULL_PRECISION, Floats
from dqviz.analysis.words import NOTHING, listing, number, percent
from dqviz.naming import place


@dataclass(frozen=True, eq=False)
class Histogram:
    """`left`, `right`, `share` [bins]; `lo`, `hi` the range, NaN when untouched; `levels` at most 16 of them."""

    who: Identity
    left: Floats
    right: Floats
    share: Floats
    lo: float
    hi: float
    levels: Floats
    clipped: float
    entropy: float
    bits: int


@dataclass(frozen=True, eq=False)
class SiteHistogram(Info):
    key: str
    histograms: tuple[Histogram, ...]


MOST_LEVELS = 16


def site_histogram(groups: Sequence[Group], ranges: Sequence[Group], key: str) -> SiteHistogram:
    """`groups` of the histograms table, `ranges` of the ranges table; each group is shown by its first seed.

    Ranges differ from seed to seed, so that a mean histogram would belong to no run.
    """
    quantizers = {group.identity: at_site(group.frames[0], key) for group in ranges}
    histograms, tables = [], []
    for group in select(groups, lambda frame: _all_values(frame, key)):
        frame = group.frames[0]
        one = _histogram(group, frame, quantizers.get(group.identity))
        histograms.append(one)
        kept = frame[["left", "right", "count"]].assign(lo=one.lo, hi=one.hi)
        tables.append(identify(kept, group))
    alt = f"Histogram of the values at {place(key)}, the quantizer's range as a bracket and its levels as ticks."
    return SiteHistogram(_sentence(histograms, key), alt, stack(tables, ["left", "right", "count"]), key,
                         tuple(histograms))  # fmt: skip


def _all_values(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    here = at_site(frame, key)
    return here[here["group"] == EVERY_NODE]


def _histogram(group: Group, frame: pd.DataFrame, quantizer: pd.DataFrame | None) -> Histogram:
    left, right, values = (frame[name].to_numpy(dtype=np.float64) for name in ("left", "right", "count"))
    share = values / max(values.sum(), 1.0)
    nothing = (np.nan, np.nan, np.zeros(0), np.nan, np.nan, FULL_PRECISION)
    if quantizer is None or quantizer.empty:
        return Histogram(group.identity, left, right, share, *nothing)
    row = quantizer.iloc[0]
    many = row["levels_total"]
    levels = np.linspace(row["lo"], row["hi"], int(many)) if many <= MOST_LEVELS else np.zeros(0)
    return Histogram(group.identity, left, right, share, float(row["lo"]), float(row["hi"]), levels,
                     float(row["clipped_share"]), float(row["entropy_bits"]), int(row["bits"]))  # fmt: skip


def _sentence(histograms: Sequence[Histogram], key: str) -> str:
    known = [h for h in histograms if np.isfinite(h.entropy)]
    own = [h for h in histograms if h.bits < FULL_PRECISION]
    if not histograms:
        return NOTHING
    if not own:
        return f"The values at {place(key)} are not quantized in these runs."
    if not known:
        names = listing([h.who.label for h in own])
        return (f"At {place(key)} there is no one grid whose use could be told ({names}): rows or channels have their "
                "own, levels are uneven, or values are codewords.")  # fmt: skip
    poor = min(known, key=lambda h: h.entropy / h.bits)
    return (f"At {place(key)} the values of {poor.who.label} fill {number(poor.entropy, 2)} of {poor.bits} bits, and "
            f"{percent(poor.clipped)} of them lie outside its range from {number(poor.lo)} to "
            f"{number(poor.hi)}.")  # fmt: skip
