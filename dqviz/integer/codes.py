"""Codes: integers that stand for real values, real = scale (code - zero_point).

Codes are always signed here: an unsigned code q of b bits is kept as q - 2^(b-1), and its zero point likewise, which
changes no real value and lets every kernel take int8. Codes of 4 or fewer bits may lie packed, two or four to a byte
(`dqviz.integer.packing`); only kernels look at how.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dqviz.errors import Unavailable
from dqviz.integer import packing
from dqviz.quant.quantizer import Quantizer

Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Accumulator = npt.NDArray[np.int32] | npt.NDArray[np.int64]

MIN_BITS, MAX_BITS = 2, 8


@dataclass(frozen=True)
class Grid:
    """The integer grid of one site: step (float32), zero point (already shifted to signed), bits; `key` names it.

    `rows` float32 [rows]: the step of each row where rows (nodes) have their own; `scale` is then 1, so that a row's
    step comes in as the factor `rows` of an epilogue, and, before a sparse product, into the edges' real weights.
    `columns` float32 [channels]: the step of each channel where these have their own, again with `scale` 1.
    `symmetric`: the lowest code is not used.
    """

    scale: float
    zero_point: int
    bits: int
    key: str = ""
    rows: Float32 | None = field(default=None, compare=False, kw_only=True)
    columns: Float32 | None = field(default=None, compare=False, kw_only=True)
    symmetric: bool = field(default=False, kw_only=True)

    @property
    def qmin(self) -> int:
        return int(self.symmetric) - (1 << (self.bits - 1))

    @property
    def qmax(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def inverse(self) -> float:
        """1 / scale, rounded to float32 once: training multiplies by it, so everything here does (it decides ties)."""
        return float(np.float32(1) / np.float32(self.scale))

    def steps(self, channels: int) -> Float64:
        """Step of each channel [channels] of codes whose rows have no steps of their own."""
        return np.full(channels, self.scale) if self.columns is None else self.columns.astype(np.float64)

    @property
    def inverses(self) -> Float64:
        """`inverse` of each channel: [channels], or of no dimension where all share it."""
        if self.columns is None:
            return np.array(self.inverse)
        found: Float64 = (np.float32(1) / self.columns).astype(np.float64)
        return found

    @property
    def real_steps(self) -> Float32:
        """Steps that broadcast to codes [rows, channels]."""
        if self.rows is not None:
            return self.rows[:, None]
        return np.array(self.scale, np.float32) if self.columns is None else self.columns

    @property
    def reach(self) -> int:
        """Largest magnitude of code - zero_point: what the bound on accumulators is made of."""
        return max(self.qmax - self.zero_point, self.zero_point - self.qmin)


def require_narrow(quantizer: Quantizer) -> None:
    """Raises Unavailable where the site has more than 8 bits, or the one bit of which no kernel takes codes."""
    bits = quantizer.qtype.bits
    if bits > MAX_BITS:
        raise Unavailable(f"No integer run: site {quantizer.key!r} has {bits} bits, more than {MAX_BITS}.")
    if bits < MIN_BITS:
        raise Unavailable(f"No integer run: site {quantizer.key!r} has {bits} bit, fewer than {MIN_BITS}.")


def grid_of(quantizer: Quantizer) -> Grid:
    """Parameters of a trained quantizer. Raises Unavailable for more than 8 bits, and without one even grid for all."""
    require_narrow(quantizer)
    if quantizer.own_rows:
        raise Unavailable(f"No integer run: rows have grids of their own at site {quantizer.key!r}, and nothing "
                          "there can absorb their steps.")  # fmt: skip
    if quantizer.own_columns:
        raise Unavailable(f"No integer run: columns have grids of their own at site {quantizer.key!r}, and nothing "
                          "there can absorb their steps.")  # fmt: skip
    if quantizer.own_levels:
        raise Unavailable(f"No integer run: levels are not evenly spaced at site {quantizer.key!r}.")
    qtype = quantizer.qtype
    scale, zero_point = quantizer.qparams()
    shift = 0 if qtype.signed else 1 << (qtype.bits - 1)
    return Grid(scale, zero_point - shift, qtype.bits, quantizer.key)


@dataclass(frozen=True, eq=False)
class Codes:
    """A dense quantized matrix: `data` int8 [rows, channels] or, packed, uint8 [rows, bytes]."""

    data: Int8 | UInt8
    params: Grid
    channels: int

    @classmethod
    def of(cls, values: Int8, params: Grid) -> Codes:
        """From plain codes int8 [rows, channels]."""
        return cls(values, params, values.shape[1])

    @property
    def is_packed(self) -> bool:
        return self.data.dtype == np.uint8

    @property
    def values(self) -> Int8:
        """int8 [rows, channels]."""
        if self.is_packed:
            return packing.unpack(self.data.view(np.uint8), self.channels, self.params.bits)
        return self.data.view(np.int8)

    def packed(self) -> Codes:
        """The same codes, two or four to a byte where they have 4 or fewer bits."""
        if self.is_packed or packing.per_byte(self.params.bits) == 1:
            return self
        return Codes(packing.pack(self.values, self.params.bits), self.params, self.channels)

    @property
    def size_bytes(self) -> int:
        return self.data.nbytes

    def real(self) -> Float32:
        """The float32 values, as `dqviz.quant.functional.dequantize` gives them."""
        centred = self.values.astype(np.float32) - np.float32(self.params.zero_point)
        out: Float32 = centred * self.params.real_steps
        return out


def quantize(x: Float32, params: Grid) -> Int8:
    """Codes of float32 x, any shape: multiplies by the float32 reciprocal and rounds half to even, as training does."""
    steps = np.rint(in_own_steps(x, params) * np.float32(params.inverse))
    codes: Int8 = np.clip(steps + np.float32(params.zero_point), params.qmin, params.qmax).astype(np.int8)
    return codes


def in_own_steps(x: Float32, params: Grid) -> Float32:
    """x [rows, ...] divided by the step of each row, where rows have their own."""
    if params.rows is None:
        return x
    inverse = (np.float32(1) / params.rows).reshape(-1, *[1] * (x.ndim - 1))
    scaled: Float32 = x * inverse
    return scaled


def narrow(centred: npt.NDArray[np.int_]) -> npt.NDArray[np.int8] | npt.NDArray[np.int16]:
    """Centred codes (code - zero_point) in the narrowest of int8 and int16 that holds them."""
    fits = centred.size == 0 or (centred.min() >= -128 and centred.max() <= 127)
    return centred.astype(np.int8) if fits else centred.astype(np.int16)
