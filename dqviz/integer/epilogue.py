"""What happens to an exact integer sum before it leaves a kernel: one multiplication, one addition, one rounding.

    y = float32(acc * M + B);   y = max(y, 0) with ReLU;   code = clip(rint(y) + zero_point)

M and B are float64 a channel and are used in this order everywhere, rounding half to even, so that every backend gives
the same bits (Jacob et al. 1712.05877 with M in float64 in place of a fixed-point multiplier). y is rounded to float32
because training holds it there: a sum of 4-bit codes often falls on a rounding tie exactly (GIN on Cora: 0.2 % of
values), and float64 would see it a hair beside. Measured: differing codes fell from 101 to 24 of 43,328.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Float32, Float64, Grid, Int8


@dataclass(frozen=True, eq=False)
class Scaled:
    """`multiplier` and `offset` float64 [channels]."""

    multiplier: Float64
    offset: Float64

    def padded(self, channels: int, lanes: int) -> tuple[Float64, Float64, Float32, Float32]:
        """Both as arrays of a multiple of `lanes` values (kernels read whole vectors), then in float32; made once."""
        known: dict[int, tuple[Float64, Float64, Float32, Float32]] = self.__dict__.setdefault("_padded", {})
        if channels not in known:
            pair = np.zeros((2, -(-channels // lanes) * lanes))
            pair[0, :channels], pair[1, :channels] = self.multiplier, self.offset
            with np.errstate(over="ignore"):
                known[channels] = pair[0], pair[1], *pair.astype(np.float32)
        return known[channels]

    @cached_property
    def largest_offset(self) -> float:
        return float(np.abs(self.offset).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Requantize(Scaled):
    """Sums to codes of the next site; multiplier and offset are in steps of `out`."""

    relu: bool
    out: Grid

    def apply(self, acc: npt.NDArray[np.int_] | Float64) -> Int8:
        """acc [rows, channels], exact integers -> int8 codes of the same shape."""
        y = (acc.astype(np.float64) * self.multiplier + self.offset).astype(np.float32)
        if self.relu:
            y = np.maximum(y, np.float32(0))
        codes: Int8 = np.clip(np.rint(y) + np.float32(self.out.zero_point), self.out.qmin, self.out.qmax).astype(
            np.int8
        )
        return codes


@dataclass(frozen=True, eq=False)
class Dequantize(Scaled):
    """Sums to real values (logits): the one place where an integer run ends in float."""

    def apply(self, acc: npt.NDArray[np.int_]) -> Float32:
        """acc [rows, channels] -> float32 of the same shape."""
        return (acc.astype(np.float64) * self.multiplier + self.offset).astype(np.float32)


Epilogue = Requantize | Dequantize
"""A kernel without an epilogue returns the sums themselves."""
