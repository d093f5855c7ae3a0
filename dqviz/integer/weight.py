"""Weight: the quantized matrix of a linear layer, laid out for the products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dqviz.integer import memory, packing
from dqviz.integer.codes import Codes, Float64, Grid, Int8, Int32, Int64


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

    @cached_property
    def reach(self) -> int:
        """Largest magnitude of a centred code."""
        return int(np.abs(self.codes.astype(np.int64) - self.zero).max(initial=0))

    def steps(self, channels: int) -> Float64:
        """Step of each output [channels]; a quantized weight has them as rows of [out_channels, in_channels]."""
        own = self.params.rows
        return np.full(channels, self.params.scale) if own is None else own.astype(np.float64)

    @property
    def rows(self) -> Codes:
        """The matrix as the dense factor of a sparse product (features that stay sparse times weights)."""
        return Codes.of(self.codes, Grid(self.params.scale, self.zero, 8, self.params.key))

    def packed(self, bits: int) -> PackedWeight:
        """For rows of codes of `bits` bits, made once."""
        planes = packing.per_byte(bits)
        known: dict[int, PackedWeight] = self.__dict__.setdefault("_packed", {})
        if planes not in known:
            known[planes] = packed_weight(self.codes, planes)
        return known[planes]


@dataclass(frozen=True, eq=False)
class PackedWeight:
    """The matrix as dot products of four bytes read it: blocks int8 [planes, blocks, outputs, 4], outputs a multiple
    of 64; plane p holds the inputs whose fields lie p-th in a byte of x. `column_sums` int32 [outputs].
    """

    blocks: Int8
    column_sums: Int32


def packed_weight(codes: Int8, planes: int) -> PackedWeight:
    """From codes [in_channels, out_channels] for rows of ceil(in_channels / planes) bytes."""
    inner, channels = codes.shape
    length, outputs = -(-inner // planes), -(-channels // 64) * 64
    blocks = -(-length // 4)
    laid = np.zeros((planes, 4 * blocks, outputs), np.int8)
    for plane in range(planes):
        part = codes[plane * length : (plane + 1) * length]
        laid[plane, : len(part), :channels] = part
    sums = np.zeros(outputs, np.int32)
    sums[:channels] = codes.sum(axis=0, dtype=np.int32)
    fours = laid.reshape(planes, blocks, 4, outputs // 64, 64).transpose(0, 3, 1, 4, 2)
    return PackedWeight(memory.on_a_line(np.ascontiguousarray(fours)), sums)


def weight_of(codes: Int8, params: Grid) -> Weight:
    """From codes [in_channels, out_channels]."""
    centred = codes.astype(np.int64) - params.zero_point
    fits = np.abs(centred).max(initial=0) <= 127
    kept = np.ascontiguousarray((centred if fits else codes).astype(np.int8))
    return Weight(kept, 0 if fits else params.zero_point, kept.sum(axis=0, dtype=np.int64), params)
