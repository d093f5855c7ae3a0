"""One streaming pass over a site: sums of squares a row, level occupation and a fine histogram, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dqviz.analysis.view import FULL_PRECISION, Array, Floats, Ints, SiteView, as_matrix

CHUNK = 65_536
"""Values a chunk: its float64 copies stay in the second-level cache."""

FINE = 16_384
"""Cells of the fine histogram, a multiple of the 128 bins that are kept."""

ROW_SUMS = ("signal", "rounding", "clipping", "clipped", "accumulated", "reference", "values")


@dataclass
class Sweep:
    """What one pass leaves: `rows` [len(ROW_SUMS), rows] float64, `levels` [2**bits], `fine` [groups, FINE].

    Rows that hold NaN or infinity are left out (all sums zero, `values` zero); others count as often as the view says.
    """

    rows: Floats
    levels: Ints
    fine: Ints
    low: float
    high: float
    nodes: Array | None = field(repr=False)

    def row(self, name: str) -> Floats:
        """[rows] float64: one of ROW_SUMS."""
        return np.asarray(self.rows[ROW_SUMS.index(name)])

    def total(self, name: str) -> float:
        return float(self.row(name).sum())

    def per_node(self, name: str, num_nodes: int) -> Floats:
        """[num_nodes]: the rows summed at their node (for messages: the target)."""
        values = self.row(name)
        if self.nodes is None:
            return values
        return np.bincount(self.nodes, weights=values, minlength=num_nodes).astype(np.float64)


def value_range(x: Array) -> tuple[float, float]:
    """Smallest and largest finite value, (0, 0) when there is none: needed before cells can be drawn."""
    if not x.size:
        return 0.0, 0.0
    low, high = float(x.min()), float(x.max())
    if np.isfinite(low) and np.isfinite(high):
        return low, high
    finite = x[np.isfinite(x)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def sweep(view: SiteView, group: Array, num_groups: int) -> Sweep:
    """Pass over `view` once; `group` [rows] or [1] is each row's degree group."""
    x = as_matrix(view.x)
    low, high = value_range(x if view.often is None else x[view.often > 0])
    result = Sweep(
        rows=np.zeros((len(ROW_SUMS), len(x))),
        levels=np.zeros(view.levels, dtype=np.int64),
        fine=np.zeros((num_groups, FINE), dtype=np.int64),
        low=low,
        high=high,
        nodes=None if view.node is None else np.asarray(view.node),
    )
    for rows, values, quantized, reference in _chunks(view):
        finite = _finite(values, quantized, reference)
        _add_squares(view, rows, result.rows[:, rows], values, quantized, reference, finite)
        keep = result.rows[-1, rows] > 0
        if not keep.all():
            values, quantized = values[keep], quantized[keep]
        often = None if view.often is None else np.repeat(view.often[rows][keep], values.shape[1])
        _add_levels(view, result.levels, quantized, often)
        of_row = group[rows][keep] if len(group) == len(x) else group
        _add_cells(result, values, of_row, often)
    if view.often is not None:
        result.rows *= view.often
    return result


def _chunks(view: SiteView) -> Iterator[tuple[slice, Array, Array, Array | None]]:
    x, xq = as_matrix(view.x), as_matrix(view.xq)
    reference = None if view.reference is None else as_matrix(view.reference)
    step = max(1, CHUNK // max(1, x.shape[1]))
    for start in range(0, len(x) if x.shape[1] else 0, step):
        rows = slice(start, start + step)
        yield rows, x[rows], xq[rows], None if reference is None else reference[rows]


def _finite(x: Array, xq: Array, reference: Array | None) -> Array | None:
    """Rows without NaN and infinity, or None when that is all of them (one sum tells, and costs the least)."""
    arrays = [x, xq] if reference is None else [x, xq, reference]
    with np.errstate(all="ignore"):
        if all(np.isfinite(a.sum(dtype=np.float32)) for a in arrays):
            return None
    return np.asarray(np.logical_and.reduce([np.isfinite(a).all(axis=1) for a in arrays]))


def _energy(values: Array) -> Floats:
    """[rows, channels] -> [rows]: sums of squares in float64."""
    exact = values.astype(np.float64)
    return np.asarray(np.einsum("ij,ij->i", exact, exact))


def _add_squares(
    view: SiteView, at: slice, rows: Floats, x: Array, xq: Array, reference: Array | None, finite: Array | None
) -> None:
    if finite is not None:
        x, xq = np.where(finite[:, None], x, 0), np.where(finite[:, None], xq, 0)
        reference = None if reference is None else np.where(finite[:, None], reference, 0)
    rows[0] = _energy(x)
    if view.quantized:
        rows[1:4] = _split_error(*_ends(view, at), x, xq)
    if reference is not None:
        rows[4], rows[5] = _energy(xq - reference), _energy(reference)
    rows[6] = x.shape[1] if finite is None else x.shape[1] * finite


def _ends(view: SiteView, rows: slice) -> tuple[float | Floats, float | Floats]:
    """Ends of the representable range of some rows: two numbers, or arrays where rows or channels have their own.

    None for what stays in float beside others.
    """
    if view.own is None:
        return view.lo, view.hi
    own = view.own.rows(rows)
    free = own.bits >= FULL_PRECISION
    return np.where(free, -np.inf, own.lo), np.where(free, np.inf, own.hi)


def _split_error(lo: float | Floats, hi: float | Floats, x: Array, xq: Array) -> Floats:
    """[3, rows]: rounding energy, clipping energy, number of clipped values.

    A value is clipped outside [lo, hi]; the slack of one part in a million is the float32 noise of lo and hi.
    """
    slack = 1e-6 * np.maximum(np.abs(lo), np.abs(hi))
    error = (xq - x).astype(np.float64)
    if np.all(x.min() >= lo - slack) and np.all(x.max() <= hi + slack):
        zero = np.zeros(len(x))
        return np.stack([np.einsum("ij,ij->i", error, error), zero, zero])
    outside = (x < lo - slack) | (x > hi + slack)
    clipping = _energy(error * outside)
    error[outside] = 0.0
    return np.stack([np.einsum("ij,ij->i", error, error), clipping, outside.sum(axis=1)])


def _add_levels(view: SiteView, levels: Ints, xq: Array, often: Ints | None) -> None:
    """Count the level of each value, as often as `often` [values] says; q - qmin = (x^ - lo) / s."""
    if not view.levels or not xq.size:
        return
    inverse = 1.0 / view.scale
    level = xq * np.float32(inverse) + np.float32(0.5 - view.lo * inverse)
    np.clip(level, 0, view.levels - 1, out=level)
    levels += _counted(level.ravel().astype(np.int64), often, view.levels)


def _add_cells(result: Sweep, x: Array, group: Array, often: Ints | None) -> None:
    """Add [rows, channels] to the fine histogram of each row's group."""
    if not x.size:
        return
    span = result.high - result.low
    cells = (x - np.float32(result.low)) * np.float32(FINE * (1 - 1e-6) / span if span > 0 else 0.0)
    code = np.clip(cells, 0, FINE - 1).astype(np.int64)
    code += (group * FINE)[:, None]
    result.fine += _counted(code.ravel(), often, result.fine.size).reshape(result.fine.shape)


def _counted(code: Ints, often: Ints | None, size: int) -> Ints:
    """[size]: how often each code occurs; weights are float64, which holds counts up to 2^53 exactly."""
    return np.bincount(code, often, minlength=size).astype(np.int64)
