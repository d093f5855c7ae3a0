"""Rescale: exact sums to codes whose rows have steps and bits of their own (A2Q)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Codes, Float32, Float64, Grid, Int8
from dqviz.integer.ops import REQUANTIZATION, Frame, Op
from dqviz.integer.steps import RowGrids

Sums = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rescale(Op):
    """Sums acc [rows, channels] to codes of each row's own grid, with a factor of the column and one of the row.

        y = acc * scale + offset;   y = max(y, 0);   code = clip(rint(float32(y * inverse[row])) to the row's codes

    `scale`, `offset` float64 [channels], `inverse` = 1 / step, float32. The offset has to be divided by each row's
    step, and rows of b bits are clipped to their own ends, neither of which an epilogue of a kernel can do; numpy does
    it for all backends. Codes of all rows lie at the width of the widest, so no memory is saved by the narrower ones.
    """

    scale: Float64
    offset: Float64
    relu: bool
    grid: Grid
    grids: RowGrids
    kind: ClassVar[str] = "requantize"

    @property
    def in_kernels(self) -> bool:
        return False

    def result(self, frame: Frame, value: Sums) -> Codes:
        y = value.astype(np.float64) * self.scale + self.offset
        y = np.maximum(y, 0) if self.relu else y
        step, top = self.grids.of(y)
        return Codes.of(row_codes(y, step, top, self.grid), replace(self.grid, rows=step))

    @property
    def out(self) -> Grid:
        return self.grid

    @property
    def float_part(self) -> str:
        return f"{REQUANTIZATION}, with a factor of each row and each column"


def row_codes(y: Float64, step: Float32, top: Float32, grid: Grid) -> Int8:
    """Codes of y [rows, channels] in steps of their row [rows], up to `top` [rows] away from zero."""
    inverse = (np.float32(1) / step).astype(np.float64)[:, None]
    low = np.zeros_like(top) if grid.zero_point else -top
    codes = np.clip(np.rint((y * inverse).astype(np.float32)), low[:, None], top[:, None])
    found: Int8 = (codes + np.float32(grid.zero_point)).astype(np.int8)
    return found
