"""Operations that make codes whose rows have steps and bits of their own (A2Q), of exact sums.

Such codes need a factor of the row after the offset is added, and rows of b bits are clipped to their own ends; no
epilogue of a kernel does either, so numpy does it here for all backends. Codes of all rows lie at the width of the
widest: the narrower ones save no memory in this run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt

from dqviz.errors import Unavailable
from dqviz.integer.codes import Codes, Float32, Float64, Grid, Int8, narrow
from dqviz.integer.csr import Csr, scipy_of
from dqviz.integer.graph import Edges, Prepared
from dqviz.integer.ops import REQUANTIZATION, Frame, Op, SparseCodes
from dqviz.integer.steps import RowGrids

BY_ROW = f"{REQUANTIZATION}, with a factor of each row and each column"
Sums = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OfRows(Op):
    """Ends in codes of each row's own grid: `grids` of rows that lie in codes of `grid`, the widest of them."""

    grid: Grid
    grids: RowGrids

    def in_kernels(self, graph: Prepared) -> bool:
        return False

    def coded(self, y: Float64) -> Codes:
        """Codes of reals y [rows, channels]."""
        step, top = self.grids.of(y)
        return Codes.of(row_codes(y, step, top, self.grid), replace(self.grid, rows=step))

    @property
    def out(self) -> Grid:
        return self.grid

    @property
    def float_part(self) -> str:
        return BY_ROW


@dataclass(frozen=True, eq=False)
class Rescale(OfRows):
    """Sums acc [rows, channels] to codes of each row's own grid, with a factor of the column and one of the row.

        y = (acc * before[row]) * scale + offset;   y = max(y, 0);   code = clip(rint(float32(y * inverse[row])))

    `scale`, `offset` float64 [channels], `inverse` = 1 / step, float32. `read`: the value the sums were made of;
    `before` are the steps of its rows, where it has some and the sums are a product's.
    """

    scale: Float64
    offset: Float64
    relu: bool
    read: str
    kind: ClassVar[str] = "requantize"

    def result(self, frame: Frame, value: Sums) -> Codes:
        sums, before = value.astype(np.float64), frame.values[self.read].params.rows
        sums = sums if before is None else sums * before.astype(np.float64)[:, None]
        y = sums * self.scale + self.offset
        return self.coded(np.maximum(y, 0) if self.relu else y)


@dataclass(frozen=True, eq=False)
class SumRescale(OfRows):
    """Plain sum of neighbours plus `own` times the row itself (GIN's 1 + eps) to codes of each row's own grid.

    `scale` float64 [channels] of the codes read. Where their rows have steps these must be equal (0/1 features), for
    a sum of rows of different steps is no sum of integers. Sparse rows stay sparse.
    """

    own: float
    scale: Float64
    kind: ClassVar[str] = "sum"

    def matrix(self, edges: Edges) -> Csr:
        return edges.plain

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Codes | SparseCodes:
        matrix, scale = frame.graph.matrices[self.name], self.scale * shared_step(value)
        if isinstance(value, SparseCodes):
            return self.sparse(matrix, value.matrix, scale)
        sums = cast("Sums", frame.backend.spmm(matrix, value)).astype(np.float64)
        centred = value.values.astype(np.float64) - value.params.zero_point
        return self.coded((sums + self.own * centred) * scale)

    def sparse(self, matrix: Csr, x: Csr, scale: Float64) -> SparseCodes:
        rows = scipy_of(x).astype(np.float64)
        y = scipy_of(matrix).astype(np.float64) @ rows + self.own * rows
        y.sum_duplicates()
        values, ptr = y.data * np.broadcast_to(scale, (x.num_cols,))[y.indices], y.indptr.astype(np.int64)
        step, top = self.grids.of(values, ptr)
        each = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
        codes = row_codes(values[:, None], step[each], top[each], self.grid)[:, 0]
        y.data = codes.astype(np.int64) - self.grid.zero_point
        y.eliminate_zeros()
        made = Csr(y.indptr.astype(np.int64), y.indices.astype(np.int32), narrow(y.data), x.num_cols)
        return SparseCodes(made, replace(self.grid, rows=step))


def shared_step(value: Codes | SparseCodes) -> float:
    """The step of rows that hold anything but zeros; 1 where rows have no steps. Unavailable where they differ."""
    steps = value.params.rows
    if steps is None:
        return 1.0
    filled = np.diff(value.matrix.indptr) > 0 if isinstance(value, SparseCodes) else (
        value.values != value.params.zero_point).any(axis=1)  # fmt: skip
    found = np.unique(steps[filled])
    if len(found) > 1:
        raise Unavailable(f"No integer run: rows have steps of their own at site {value.params.key!r} and are summed.")
    return float(found[0]) if len(found) else 1.0


def row_codes(y: Float64, step: Float32, top: Float32, grid: Grid) -> Int8:
    """Codes of y [rows, channels] in steps of their row [rows], up to `top` [rows] away from zero."""
    inverse = (np.float32(1) / step).astype(np.float64)[:, None]
    low = np.zeros_like(top) if grid.zero_point else -top
    codes = np.clip(np.rint((y * inverse).astype(np.float32)), low[:, None], top[:, None])
    found: Int8 = (codes + np.float32(grid.zero_point)).astype(np.int8)
    return found
