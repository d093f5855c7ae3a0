"""Bootstrap 95 % intervals over nodes (Efron, 1979), seeded, with a cost that does not grow with the graph.

For means over seeds see dqviz.analysis.student.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dqviz.analysis.view import Array, Floats

DRAWS = 500
BLOCKS = 1_000
INTERVAL = (2.5, 97.5)


@lru_cache(maxsize=64)
def draw_counts(size: int, seed: int, draws: int = DRAWS) -> Array:
    """[draws, size] float32: how often each of `size` units is drawn in each resample (2 MB at most, cached)."""
    picked = np.random.default_rng([seed, size]).integers(0, size, (draws, size))
    flat = (picked + size * np.arange(draws)[:, None]).ravel()
    return np.bincount(flat, minlength=draws * size).reshape(draws, size).astype(np.float32)


def block_sums(columns: Floats, seed: int, blocks: int = BLOCKS) -> Floats:
    """[values, columns] -> [at most `blocks`, columns]: sums over random blocks of equal size (up to one).

    Resampling the sums of random blocks gives the same variance of a mean or a slope as resampling the values, at a
    fixed cost; below 1,000 values every block is one value: the ordinary bootstrap. The order of the values decides
    nothing but the blocks, and those are drawn.
    """
    if len(columns) <= blocks:
        return columns
    order = np.random.default_rng([seed, len(columns)]).permutation(len(columns))
    block = np.empty(len(columns), dtype=np.int64)
    block[order] = np.arange(len(columns)) % blocks
    return np.column_stack([np.bincount(block, weights=column, minlength=blocks) for column in columns.T])


def resampled_sums(columns: Floats, seed: int) -> Floats:
    """[values, columns] -> [draws, columns]: the column sums of each resample."""
    blocks = block_sums(columns, seed)
    return draw_counts(len(blocks), seed).astype(np.float64) @ blocks


def mean_interval(values: Array, seed: int = 0) -> tuple[float, float, float]:
    """Mean and its 95 % interval; NaN is left out, and nothing at all gives NaN. One value gives itself."""
    finite = np.asarray(values, dtype=np.float64)
    finite = np.sort(finite[np.isfinite(finite)])
    if not len(finite):
        return np.nan, np.nan, np.nan
    sums = resampled_sums(np.column_stack([finite, np.ones_like(finite)]), seed)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], INTERVAL)
    return float(finite.mean()), float(low), float(high)


def slope_interval(x: Array, y: Array, seed: int = 0) -> tuple[float, float, float]:
    """Least-squares slope of y on x and its 95 % interval over the points; NaN with under two distinct x."""
    if len(x) < 3 or np.ptp(x) == 0:
        return np.nan, np.nan, np.nan
    order = np.lexsort((y, x))
    x, y = x[order] - x.mean(), y[order] - y.mean()
    columns = np.column_stack([np.ones_like(x), x, y, x * x, x * y])
    slopes = _slope(resampled_sums(columns, seed))
    slopes = slopes[np.isfinite(slopes)]
    low, high = np.percentile(slopes, INTERVAL) if len(slopes) else (np.nan, np.nan)
    return float(_slope(columns.sum(axis=0)[None])[0]), float(low), float(high)


def _slope(sums: Floats) -> Floats:
    n, x, y, xx, xy = sums.T
    spread = n * xx - x * x
    valid = spread > 1e-12 * np.abs(n * xx)
    return np.where(valid, (n * xy - x * y) / np.where(valid, spread, 1.0), np.nan)
