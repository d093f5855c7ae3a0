"""An epilogue as the C library takes it: a Finish struct, and when float32 may decide a code (kernels/c/kernels.h)."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Grid
from dqviz.integer.epilogue import Epilogue, Requantize, elu_thresholds
from dqviz.integer.kernels.base import INT32_MAX
from dqviz.integer.kernels.library import CODES, REALS, SUMS, Finish, address, library
from dqviz.integer.packing import held_bits

LANES = 16
"""Float32 lanes of the widest vector: kernels read whole vectors of multipliers and offsets."""
LARGE = 2048
"""Offsets (in steps) below which float32 decides a code that is not near a tie (avx512.h)."""
CHECKED, CERTAIN = 1, 2
"""What float32 may decide: codes that are not near a tie, or all of them (kernels.h)."""
FITS = 2.0**30
"""Results that surely fit int32 when rounded."""
WIDEST = 255
"""Largest distance of a code from its zero point."""


def bounds(grid: Grid, relu: bool) -> tuple[float, float]:
    """Where rounded steps are clipped, before the zero point is added; ReLU is a bound like any other."""
    low, high = grid.qmin - grid.zero_point, grid.qmax - grid.zero_point
    return float(max(low, 0) if relu else low), float(high)


def finish_of(
    epilogue: Epilogue | None, channels: int, reach: int = 0, own: float = 0.0
) -> tuple[Finish, tuple[Any, ...]]:
    """The struct, and the arrays it points to: they must live as long as it is used.

    `reach` bounds the magnitude of the sums, the row's own codes included, which are added `own` times. An epilogue
    keeps what was made of it: a plan's epilogues live as long as its session.
    """
    if epilogue is None:
        return Finish(SUMS), ()
    known: dict[tuple[int, int, float], tuple[Finish, tuple[Any, ...]]] = epilogue.__dict__.setdefault("_finish", {})
    key = (channels, reach, own)
    if key not in known:
        known[key] = made(epilogue, channels, reach, own)
    return known[key]


def made(epilogue: Epilogue, channels: int, reach: int, own: float) -> tuple[Finish, tuple[Any, ...]]:
    also = None if epilogue.also is None else padded(np.broadcast_to(epilogue.also, (channels,)))
    rows = None if epilogue.rows is None else np.ascontiguousarray(epilogue.rows, np.float64)
    scale = [padded(np.broadcast_to(values, (channels,))) for values in (epilogue.multiplier, epilogue.offset)]
    with np.errstate(over="ignore"):
        narrow = [values.astype(np.float32) for values in scale]
        also32 = None if also is None else also.astype(np.float32)
    arrays = (*scale, *narrow, getattr(epilogue, "thresholds", None), rows, also, also32)
    places = [address(array) for array in arrays]
    if not isinstance(epilogue, Requantize):
        return Finish(REALS, 32, 0, 0, 0, 0, *places), arrays
    steps = epilogue.thresholds
    head = (CODES, held_bits(epilogue.out.bits), epilogue.out.zero_point, 0 if steps is None else len(steps))
    unit = 0.0 if steps is None else float(epilogue.out.inverse)
    trusted = CHECKED if float32_may_decide(epilogue, reach) else 0
    finish = Finish(*head, *bounds(epilogue.out, epilogue.relu), *places, trusted, 0.5 - noise(epilogue), unit, 0)
    if trusted and float(own).is_integer() and library().dqviz_certain(ctypes.byref(finish), channels, reach):
        finish.fast = CERTAIN
    return finish, arrays


def float32_may_decide(epilogue: Requantize, reach: int) -> bool:
    """Whether a float32 result away from a tie has the right code, and all results fit int32 before clipping."""
    steps, offset = epilogue.thresholds, largest(epilogue.offset)
    known = steps is None or np.array_equal(steps, elu_thresholds(float(epilogue.out.inverse), len(steps)))
    rows = 1.0 if epilogue.rows is None else largest(epilogue.rows)
    far = (largest(epilogue.multiplier) * rows + largest(epilogue.also)) * reach + offset
    return known and reach <= INT32_MAX and offset < LARGE and far < FITS


def largest(values: npt.NDArray[np.float64] | None) -> float:
    """Largest magnitude; 0 of nothing."""
    return 0.0 if values is None else float(np.abs(values).max(initial=0.0))


def noise(epilogue: Requantize) -> float:
    """How far a float32 result that is not clipped may lie from the float64 one, in steps.

    There |y| <= 2^bits and |sum M| <= |y| + |B|, and each factor and each step rounds once: (4 |sum M| + |B| + |y|)
    2^-24, and |y| 2^-24 for the rounding of the float64 one; 8 in place of 6 to be safe. A second sum adds
    5 |sum M| 2^-24, which the kernel counts value by value (avx512_dense.c). ELU's polynomial is off by less than 2e-6
    of its unit (avx512.h).
    """
    unit = 0.0 if epilogue.thresholds is None else float(epilogue.out.inverse)
    return 4e-6 * unit + 8 * (largest(epilogue.offset) + 2.0**epilogue.out.bits) * 2.0**-24


def padded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """With a vector of zeros behind: kernels read whole vectors, wherever one begins."""
    out = np.zeros(len(values) + LANES)
    out[: len(values)] = values
    return out


def in_bytes(finish: Finish) -> Finish:
    """The same codes, one to a byte."""
    wide = Finish.from_buffer_copy(finish)
    wide.bits = 8
    return wide
