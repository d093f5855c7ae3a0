"""Weight: the quantized matrix of a linear layer, laid out for the products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dqviz.integer.codes import Grid, Int8, Int64


@dataclass(frozen=True, eq=False)
class Weight:
    """`codes` int8 [in_channels, out_channels] with zero point `zero`; `column_sum` int64 [out_channels] of codes.

    Where the centred codes fit int8 (always below 8 bits) they are stored centred and `zero` is 0, which saves the
    correction by row sums: sum (x - a)(w - b) = sum x w - a sum w - b sum x + n a b.
    """

    codes: Int8
    zero: int
    column_sum: Int64
    params: Grid

    @property
    def reach(self) -> int:
        """Largest magnitude of a centred weight."""
        return int(np.abs(self.codes.astype(np.int64) - self.zero).max(initial=0))


def weight_of(codes: Int8, params: Grid) -> Weight:
    """From codes [in_channels, out_channels]."""
    centred = codes.astype(np.int64) - params.zero_point
    fits = np.abs(centred).max(initial=0) <= 127
    kept = np.ascontiguousarray((centred if fits else codes).astype(np.int8))
    return Weight(kept, 0 if fits else params.zero_point, kept.sum(axis=0, dtype=np.int64), params)
