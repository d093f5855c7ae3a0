"""What happens to an exact integer sum before it leaves a kernel: one multiplication, one addition, one rounding.

    y = float32(acc * M + B);   y = activation(y);   code = clip(rint(y) + zero_point)

M and B are float64 a channel and are used in this order everywhere, rounding half to even, so that every backend gives
the same bits (Jacob et al. 1712.05877 with M in float64 in place of a fixed-point multiplier). y is rounded to float32
because training holds it there: a sum of 4-bit codes often falls on a rounding tie exactly (GIN on Cora: 0.2 % of
values), and float64 would see it a hair beside. Measured: differing codes fell from 101 to 24 of 43,328.

Two more factors where a layer needs them: `rows` scales the sums of each row (a mean's 1 / count, a node's own step),
and `also` is the multiplier of a second sum (SAGE's two products):

    y = float32((acc * rows) * M + second * also + B)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Float32, Float64, Grid, Int8, Int64

Sums = npt.NDArray[np.int_] | npt.NDArray[np.int32] | Float64


@dataclass(frozen=True, eq=False)
class Scaled:
    """`multiplier`, `offset` and `also` float64 [channels], `rows` float64 [rows]."""

    multiplier: Float64
    offset: Float64
    rows: Float64 | None = field(default=None, kw_only=True)
    also: Float64 | None = field(default=None, kw_only=True)

    def reals(self, acc: Sums, second: Sums | None = None) -> Float32:
        """y before the activation: acc (and second) [rows, channels] exact integers -> float32."""
        y = acc.astype(np.float64)
        if self.rows is not None:
            y = y * self.rows[:, None]
        y = y * self.multiplier
        if second is not None and self.also is not None:
            y = y + second.astype(np.float64) * self.also
        out: Float32 = (y + self.offset).astype(np.float32)
        return out

    def at(self, rows: Int64) -> Self:
        """The same for some of the rows."""
        return self if self.rows is None else replace(self, rows=self.rows[rows])

    def part(self, channels: slice) -> Self:
        """The same for some of the channels."""
        return replace(self, multiplier=self.multiplier[channels], offset=self.offset[channels])


@dataclass(frozen=True, eq=False)
class Requantize(Scaled):
    """Sums to codes of the next site; multiplier and offset are in steps of `out`.

    The activation is ReLU, or ELU as `thresholds` (see `elu_thresholds`), or none.
    """

    relu: bool
    out: Grid
    thresholds: Float32 | None = field(default=None, kw_only=True)

    def apply(self, acc: Sums, second: Sums | None = None) -> Int8:
        """acc [rows, channels], exact integers -> int8 codes of the same shape."""
        y = self.reals(acc, second)
        if self.relu:
            y = np.maximum(y, np.float32(0))
        if self.thresholds is not None:
            y = elu_steps(y, self.thresholds)
        codes: Int8 = np.clip(np.rint(y) + np.float32(self.out.zero_point), self.out.qmin, self.out.qmax).astype(
            np.int8
        )
        return codes


@dataclass(frozen=True, eq=False)
class Dequantize(Scaled):
    """Sums to real values (logits): the one place where an integer run ends in float."""

    def apply(self, acc: Sums, second: Sums | None = None) -> Float32:
        """acc [rows, channels] -> float32 of the same shape."""
        return self.reals(acc, second)


Epilogue = Requantize | Dequantize
"""A kernel without an epilogue returns the sums themselves."""


def elu_thresholds(inverse: float, most: int) -> Float32:
    """Where rint(elu(y)) changes for y < 0, y in steps of 1 / inverse: ascending float32, `most` of them at most.

    elu(y) in steps is inverse (exp(y / inverse) - 1). It falls below -(j - 1/2), and its code to -j, where y falls
    below t_j = inverse log(1 - (j - 1/2) / inverse). So ELU costs comparisons and no exponential, and is exact: steps
    beyond `most` are clipped anyway, and beyond j = inverse + 1/2 there are none.
    """
    middle = np.arange(1, min(most, int(inverse) + 1) + 1) - 0.5
    middle = middle[middle < inverse]
    thresholds: Float32 = (inverse * np.log1p(-middle / inverse)).astype(np.float32)[::-1]
    return np.ascontiguousarray(thresholds)


def elu_steps(y: Float32, thresholds: Float32) -> Float32:
    """A negative y becomes minus the number of thresholds above it, the others stay as they are."""
    out, below = y.copy(), y < 0
    out[below] = np.searchsorted(thresholds, y[below], side="right").astype(np.float32) - np.float32(len(thresholds))
    return out
