"""Rows: what the values of each row of a site reach, and fake quantization with a grid of each row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dqviz.quant.functional import EPS
from dqviz.quant.grid import Grid
from dqviz.quant.passes import Protected, row_of
from dqviz.quant.qtype import FLOAT_BITS
from dqviz.quant.quantizer import Quantizer


def row_ends(x: Tensor, ptr: Tensor | None) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each row [rows], widened to hold 0. `ptr`: x are the stored values of a CSR."""
    values = x.detach()
    if ptr is None:
        flat = values.reshape(values.size(0), -1)
        return flat.amin(1).clamp(max=0), flat.amax(1).clamp(min=0)
    row, zeros = row_of(ptr), values.new_zeros(ptr.numel() - 1)
    return zeros.scatter_reduce(0, row, values, "amin"), zeros.scatter_reduce(0, row, values, "amax")


def by_row(values: Tensor, ptr: Tensor | None) -> Tensor:
    """Sum of each row [rows] of dense values, or of those stored in CSR rows."""
    if ptr is None:
        return values.reshape(values.size(0), -1).sum(1)
    return values.new_zeros(ptr.numel() - 1).index_add(0, row_of(ptr), values)


def rows_grid(lo: Tensor, hi: Tensor, bits: Tensor, signed: bool) -> Grid:
    """As `scale_zero_point` for ranges [lo, hi] around 0 and `bits`, each of one element or [rows]: parts [rows, 1]."""
    lo, hi, bits = (part.float().view(-1, 1) for part in (lo, hi, bits))
    levels = 2**bits - 1
    low = -(2 ** (bits - 1)) if signed else torch.zeros_like(bits)
    empty = lo == hi
    step = torch.where(empty, 1.0, ((hi - lo) / levels).clamp(min=float(EPS)))
    zero = torch.where(empty, 0.0, (low - (lo / step).round()).clamp(low, low + levels))
    return Grid(step, zero, low, low + levels, bits)


def shaped(grid: Grid, x: Tensor, ptr: Tensor | None) -> Grid:
    """A grid of rows (parts of one element or [rows, 1]) whose parts broadcast to x of any rank, or to CSR values."""
    grid = grid.of_stored(ptr)
    shape = [-1] + [1] * (x.dim() - 1)  # of CSR values: flat
    return Grid(*(part.view(shape) for part in (grid.step, grid.zero, grid.low, grid.high, grid.bits)))


def on_rows(x: Tensor, grid: Grid, protected: Protected | None, ptr: Tensor | None = None) -> Tensor:
    """x^ = clip(rint(x (1 / step)), low - zero, high - zero) step, gradient straight through; as `passes.fake` rounds.

    `grid`: of rows. Rows of 32 bits and protected rows stay as they are.
    """
    return on_grid(x, shaped(grid, x, ptr), protected)


def on_grid(x: Tensor, grid: Grid, protected: Protected | None) -> Tensor:
    """The same for a grid whose parts broadcast to x."""
    out: Tensor = _OnGrid.apply(x, grid, protected)  # type: ignore[no-untyped-call]
    return out


class NodeRows(Quantizer):
    """A site whose rows have grids by their node: `node` [rows] of the last pass, None where row i is node i."""

    own_rows = True
    node: Tensor | None = None

    def forward(self, x: Tensor, protected: Tensor | None = None, node: Tensor | None = None) -> Tensor:
        self.node = node
        return super().forward(x, protected, node)


class _OnGrid(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor, grid: Grid, protected: Protected | None) -> Tensor:
        steps = x * (1 / grid.step.float())
        if x.dtype == torch.float64:
            steps = steps.float().double()
        out = steps.round_().clamp_(grid.low - grid.zero, grid.high - grid.zero) * grid.step
        kept = grid.bits >= FLOAT_BITS
        out = torch.where(kept, x, out) if kept.any() else out
        return out if protected is None else torch.where(protected.mask(x), x, out)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0], None, None
