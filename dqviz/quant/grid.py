"""Grid: the levels that values may take at a site, for one tensor, for each row or for each channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dqviz.quant.functional import QParams
from dqviz.quant.qtype import QType


@dataclass(frozen=True)
class Grid:
    """Levels (q - zero) step for whole numbers q from `low` to `high`, stored in `bits` bits a value.

    Each part is a tensor of one element, or [rows, 1] or [1, channels] where rows or channels have grids of their own.
    Levels that are not evenly spaced (powers of two) are those of the finest step that holds them all.
    """

    step: Tensor
    zero: Tensor
    low: Tensor
    high: Tensor
    bits: Tensor

    @classmethod
    def of(cls, params: QParams, qtype: QType) -> Grid:
        """The one grid of a whole tensor."""
        parts = (params.scale, params.zero_point, qtype.qmin, qtype.qmax, qtype.bits)
        return cls(*(torch.tensor(float(part)) for part in parts))

    def of_stored(self, ptr: Tensor | None) -> Grid:
        """The grid of each stored value of CSR rows (`ptr` [rows + 1]); itself for dense rows (None)."""
        if ptr is None:
            return self
        counts = ptr.diff()
        parts = (self.step, self.zero, self.low, self.high, self.bits)
        return Grid(*(part.flatten().repeat_interleave(counts) if part.numel() > 1 else part for part in parts))

    def of_columns(self, column: Tensor) -> Grid:
        """The grid of each value from its column's, in parts of one element or [1, channels]: flat parts."""
        parts = (self.step, self.zero, self.low, self.high, self.bits)
        return Grid(*(part.flatten()[column] if part.numel() > 1 else part.flatten() for part in parts))

    @property
    def is_one(self) -> bool:
        """Whether all values of the site share it."""
        return all(part.numel() == 1 for part in (self.step, self.zero, self.low, self.high, self.bits))

    @property
    def lower(self) -> Tensor:
        """Lowest real value."""
        return (self.low - self.zero) * self.step

    @property
    def upper(self) -> Tensor:
        """Highest real value."""
        return (self.high - self.zero) * self.step
