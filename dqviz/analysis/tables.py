"""From the sums of one pass to the rows of the tables degree, growth, histograms, quantiles and ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dqviz.analysis.bins import Bins
from dqviz.analysis.bootstrap import mean_interval, slope_interval
from dqviz.analysis.sweep import FINE, Sweep
from dqviz.analysis.view import Array, Floats, Ints, SiteView, as_matrix

Row = tuple[Any, ...]

LOCAL = "local"
ACCUMULATED = "accumulated"
EVERY_NODE = -1
"""Degree group that stands for all values of a site."""

HISTOGRAM_BINS = 128
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
EXACT_BELOW = 1_000_000
"""Sites with fewer values get exact quantiles; larger ones from the fine histogram, off by at most range / 16,384."""


@dataclass(frozen=True)
class NodeError:
    """Sums of one kind of error at one site, all [num_nodes] float64: error and signal energy, number of values."""

    kind: str
    error: Floats
    signal: Floats
    rounding: Floats
    clipping: Floats
    clipped: Floats
    values: Floats

    @property
    def relative(self) -> Floats:
        """Relative L2 error ||e_v|| / ||x_v||; NaN where the value itself is zero, so that it is left out of means."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.sqrt(self.error / self.signal)
        return np.where((self.signal > 0) & np.isfinite(ratio), ratio, np.nan)


def node_errors(view: SiteView, swept: Sweep, num_nodes: int) -> list[NodeError]:
    """Local error e = Q(x) - x, and where the twin's value is known the accumulated error Q(x) - twin."""
    sums = {name: swept.per_node(name, num_nodes) for name in ("signal", "rounding", "clipping", "clipped", "values")}
    error = sums["rounding"] + sums["clipping"]
    found = [NodeError(LOCAL, error, **sums)]
    if view.reference is not None:
        unknown = np.full(num_nodes, np.nan)
        accumulated, reference = (swept.per_node(name, num_nodes) for name in ("accumulated", "reference"))
        found.append(NodeError(ACCUMULATED, accumulated, reference, unknown, unknown, unknown, sums["values"]))
    return found


def degree_rows(view: SiteView, error: NodeError, bins: Bins, seed: int) -> list[Row]:
    """TABLES["degree"]: one row a bin of in-degree."""
    relative = error.relative
    scale = mean_by_bin(view, bins, view.own.scale**2) ** 0.5 if view.own else np.full(len(bins), view.scale)
    sums = [np.bincount(bins.index, weights=w, minlength=len(bins)) for w in
            (error.error, error.signal, error.rounding, error.clipping, error.clipped, error.values)]  # fmt: skip
    members = np.split(np.argsort(bins.index, kind="stable"), np.cumsum(bins.count)[:-1])
    rows: list[Row] = []
    for b, nodes in enumerate(members if len(bins) else []):
        noise, signal, rounding, clipping, clipped, values = (float(total[b]) for total in sums)
        found = relative[nodes]
        place = (int(bins.lo[b]), int(bins.hi[b]), float(bins.mean[b]), int(bins.count[b]))
        rows.append((*view.where, error.kind, *place, *mean_interval(found, seed), *_quartiles(found),
                     _ratio(noise, values), _ratio(rounding, values), _ratio(clipping, values),
                     sqnr_db(signal, noise), in_steps(view, _ratio(noise, values), float(scale[b])),
                     _ratio(clipped, values)))  # fmt: skip
    return rows


def growth_row(view: SiteView, error: NodeError, degree: Array, seed: int) -> Row:
    """TABLES["growth"]: slope of log relative error on log in-degree over nodes, with its bootstrap interval.

    Nodes of in-degree 0 and nodes without any error have no logarithm and are left out; `nodes` counts the rest.
    """
    relative = error.relative
    use = (degree > 0) & (np.nan_to_num(relative) > 0)
    slope = slope_interval(np.log(degree[use].astype(np.float64)), np.log(relative[use]), seed)
    return (*view.where, error.kind, *slope, int(use.sum()))


def range_row(view: SiteView, swept: Sweep) -> Row:
    """TABLES["ranges"]: the quantizer, the values it met, and how many of its levels they use."""
    values = swept.total("values")
    noise = swept.total("rounding") + swept.total("clipping")
    used, entropy = occupation(swept.levels)
    mse = _ratio(noise, values)
    seen = (swept.low, swept.high) if values else (np.nan, np.nan)
    clipped = _ratio(swept.total("clipped"), values)
    levels = (view.levels, used, entropy) if view.levels else (np.nan, np.nan, np.nan)
    return (view.order, *view.where, view.bits, view.signed, view.lo, view.hi, view.scale, view.zero_point, *seen,
            clipped, *levels, mse, sqnr_db(swept.total("signal"), noise), in_steps(view, mse, view.scale))  # fmt: skip


def histogram_rows(view: SiteView, swept: Sweep, groups: Bins | None) -> list[Row]:
    """TABLES["histograms"]: 128 equal bins between the smallest and largest value, for all values and each group."""
    edges = np.linspace(swept.low, swept.high, HISTOGRAM_BINS + 1)
    coarse = swept.fine.reshape(len(swept.fine), HISTOGRAM_BINS, FINE // HISTOGRAM_BINS).sum(axis=2)
    rows: list[Row] = []
    for group, lo, hi, counts in _groups(groups, coarse):
        place = (*view.where, group, lo, hi)
        rows += [(*place, edges[i], edges[i + 1], int(count)) for i, count in enumerate(counts)]
    return rows


def quantile_rows(view: SiteView, swept: Sweep, groups: Bins | None, group: Array) -> list[Row]:
    """TABLES["quantiles"] of the arriving values over all and by degree group; `group` [rows] or [1]."""
    x = as_matrix(view.x)
    whole = x.size if view.often is None else int(view.often.sum()) * x.shape[1]
    exact = x.size < EXACT_BELOW and swept.total("values") == whole
    rows: list[Row] = []
    for g, lo, hi, counts in _groups(groups, swept.fine):
        if not counts.sum():
            continue
        if exact:
            values = quantiles(x, view.often, slice(None) if g == EVERY_NODE else group == g)
        else:
            values = quantiles_of_cells(counts, swept.low, swept.high)
        rows += [(*view.where, g, lo, hi, q, float(v)) for q, v in zip(QUANTILES, values, strict=True)]
    return rows


def quantiles(x: Array, often: Ints | None, rows: Any) -> Floats:
    """Of some rows of x [rows, channels]; of values that stand for several, without interpolation."""
    if often is None:
        return np.asarray(np.quantile(x[rows], QUANTILES))
    values, weights = x[rows][often[rows] > 0], often[rows][often[rows] > 0]
    return np.asarray(np.quantile(values.ravel(), QUANTILES, weights=np.repeat(weights, x.shape[1]),
                                  method="inverted_cdf"))  # fmt: skip


def quantiles_of_cells(counts: Array, low: float, high: float) -> Floats:
    """Quantiles from equal cells between low and high, linear inside a cell.

    At most one cell away from the two values that lie next to the quantile.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    filled = np.flatnonzero(counts)
    keep = np.union1d(filled, filled + 1)
    return np.asarray(np.interp(np.asarray(QUANTILES) * cumulative[-1], cumulative[keep], edges[keep]))


def occupation(levels: Array) -> tuple[float, float]:
    """Levels used at least once, and the entropy of their occupation in bits (8 at INT8 when all are equally full)."""
    total = levels.sum()
    if not total:
        return np.nan, np.nan
    share = levels[levels > 0] / total
    return float(len(share)), float(abs((share * np.log2(share)).sum()))


def sqnr_db(signal: float, noise: float) -> float:
    """10 log10(sum x^2 / sum e^2) dB; NaN where either is zero (no infinity in a table)."""
    return float(10 * np.log10(signal / noise)) if signal > 0 and noise > 0 else np.nan


def in_steps(view: SiteView, mse: float, scale: float) -> float:
    """Root mean squared error over the step size; 1/sqrt(12) = 0.289 when it is rounding alone."""
    return float(np.sqrt(mse) / scale) if view.quantized and scale > 0 else np.nan


def width_rows(view: SiteView, bins: Bins) -> list[Row]:
    """TABLES["widths"]: mean bits and step of the rows of each bin of in-degree; [] for an untouched site."""
    if not view.quantized:
        return []
    bits, scale = np.full(len(bins), float(view.bits)), np.full(len(bins), view.scale)
    if view.own is not None:
        bits, scale = mean_by_bin(view, bins, view.own.bits), mean_by_bin(view, bins, view.own.scale)
    return [(*view.where, int(bins.lo[b]), int(bins.hi[b]), float(bins.mean[b]), int(bins.count[b]), float(bits[b]),
             float(scale[b])) for b in range(len(bins))]  # fmt: skip


def mean_by_bin(view: SiteView, bins: Bins, values: Floats) -> Floats:
    """[num_bins]: mean over the rows of a bin of `values`, which are [1, 1], [rows, 1] or [1, channels]."""
    of_row = np.broadcast_to(values.mean(axis=1), (len(view.x),))
    index = bins.index if view.node is None else bins.index[view.node]
    count = np.bincount(index, minlength=len(bins))
    return np.asarray(np.bincount(index, weights=of_row, minlength=len(bins)) / np.maximum(count, 1))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


def _quartiles(values: Floats) -> tuple[float, float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.nan, np.nan, np.nan
    low, middle, high = np.percentile(finite, (25, 50, 75))
    return float(low), float(middle), float(high)


def _groups(groups: Bins | None, counts: Array) -> list[tuple[int, float, float, Array]]:
    """(group, lowest in-degree, highest, counts) for all values together and then for each group."""
    if groups is None or not len(groups):
        return [(EVERY_NODE, np.nan, np.nan, counts.sum(axis=0))]
    every = (EVERY_NODE, float(groups.lo[0]), float(groups.hi[-1]), counts.sum(axis=0))
    return [every, *((g, float(groups.lo[g]), float(groups.hi[g]), counts[g]) for g in range(len(groups)))]
