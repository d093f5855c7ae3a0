"""How mean and spread of the aggregated values grow with in-degree (METHODS.md 1.1)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dqviz.analysis.bins import Bins
from dqviz.analysis.tables import Row
from dqviz.analysis.view import Array, Floats, SiteView, as_matrix

ROWS = 16_384


def aggregation_rows(view: SiteView, bins: Bins) -> list[Row]:
    """TABLES["aggregation"]: one row a bin of in-degree.

    For each channel the mean and the variance over the bin's nodes, then root mean squares over channels, so that
    channels of opposite sign do not cancel. The square of a mean of n values is too large by variance / n; that is
    subtracted, because otherwise the mean would seem to grow where bins get small (a bin with no mean left gives 0).
    """
    x = as_matrix(view.x)
    index = bins.index if view.node is None else bins.index[view.node]
    first, second, count = _bin_sums(x, index, len(bins))
    if not x.shape[1]:
        return []
    n = np.maximum(count, 1)[:, None]
    variance = np.maximum(second - first**2 / n, 0) / np.maximum(n - 1, 1)
    spread = np.sqrt(variance.mean(axis=1))
    mean = np.sqrt(np.maximum(((first / n) ** 2 - variance / n).mean(axis=1), 0))
    return [
        (*view.where, int(bins.lo[b]), int(bins.hi[b]), float(bins.mean[b]), int(bins.count[b]),
         float(mean[b]), float(spread[b]))
        for b in np.flatnonzero(count)
    ]  # fmt: skip


def _bin_sums(x: Array, index: Array, bins: int) -> tuple[Floats, Floats, Floats]:
    """Sums and sums of squares [bins, channels] and row counts [bins], float64; a non-finite value counts as zero."""
    first, second = np.zeros((2, bins, x.shape[1]))
    for start in range(0, len(x), ROWS):
        here = index[start : start + ROWS]
        chunk = np.nan_to_num(x[start : start + ROWS].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        members = sparse.csr_array((np.ones(len(here)), here, np.arange(len(here) + 1)), (len(here), bins)).T
        first += np.asarray(members @ chunk)
        second += np.asarray(members @ np.square(chunk))
    return first, second, np.bincount(index, minlength=bins).astype(np.float64)
