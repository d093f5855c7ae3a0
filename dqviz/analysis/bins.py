"""Bins and groups of in-degree: logarithmic, at least five nodes each, merged upward (METHODS.md section 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dqviz.analysis.view import Array, Floats, Ints

AT_LEAST = 5
GROUPS = 5


@dataclass(frozen=True)
class Bins:
    """A partition of the nodes by in-degree.

    `index` [num_nodes] is the bin of each node; `lo`, `hi` (both inclusive) are the smallest and largest in-degree
    that really occurs in the bin, `mean` the mean in-degree, `count` the number of nodes; all [num_bins].
    """

    index: Ints
    lo: Ints
    hi: Ints
    mean: Floats
    count: Ints

    def __len__(self) -> int:
        return len(self.count)


def degree_bins(degree: Array, at_least: int = AT_LEAST) -> Bins:
    """Bins half an octave wide (0, 1, 2, 3, 4-5, 6-7, 8-10, 11-15, ...) for statistics against in-degree."""
    top = max(int(degree.max(initial=0)), 1)
    steps = np.arange(0, 2 * np.ceil(np.log2(top + 1)) + 1)
    lower = np.unique(np.floor(2 ** (steps / 2) + 1e-9).astype(np.int64))
    return _partition(degree, np.concatenate([[0], lower]), at_least)


def degree_groups(degree: Array, groups: int = GROUPS, at_least: int = AT_LEAST) -> Bins:
    """About five equal steps of log in-degree, for histograms and quantiles; in-degree 0 joins the lowest group."""
    top = max(int(degree.max(initial=0)), 1)
    lower = np.unique(np.round(np.geomspace(1, top + 1, groups + 1)).astype(np.int64))[:-1]
    return _partition(degree, np.concatenate([[0], lower[lower > 1]]), at_least)


def _partition(degree: Array, lower: Array, at_least: int) -> Bins:
    degree = np.asarray(degree, dtype=np.int64)
    raw = np.searchsorted(lower, degree, side="right") - 1
    target = _merge_upward(np.bincount(raw, minlength=len(lower)), at_least)
    index = target[raw] if len(degree) else raw
    size = int(target.max(initial=-1)) + 1 if len(degree) else 0
    count = np.bincount(index, minlength=size)
    lo, hi = np.full(size, np.iinfo(np.int64).max), np.zeros(size, dtype=np.int64)
    np.minimum.at(lo, index, degree)
    np.maximum.at(hi, index, degree)
    mean = np.bincount(index, weights=degree, minlength=size) / np.maximum(count, 1)
    return Bins(index.astype(np.int64), lo, hi, mean, count.astype(np.int64))


def _merge_upward(counts: Array, at_least: int) -> Ints:
    """[raw bins] -> bin each raw bin ends in: a short bin joins the next higher one, a short last bin the one below."""
    target = np.zeros(len(counts), dtype=np.int64)
    current = filled = 0
    for i, count in enumerate(counts):
        target[i] = current
        filled += int(count)
        if filled >= at_least:
            current, filled = current + 1, 0
    if filled < at_least and current > 0:
        target = np.minimum(target, current - 1)
    return target
