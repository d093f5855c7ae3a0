"""An epilogue as the C library takes it: a Finish struct, and when float32 may decide a code (kernels/c/avx512.c)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Grid
from dqviz.integer.epilogue import Epilogue, Requantize, elu_thresholds
from dqviz.integer.kernels.library import CODES, REALS, SUMS, Finish, address

LANES = 16
"""Float32 lanes of the widest vector: kernels read whole vectors of multipliers and offsets."""
LARGE = 2048
"""Offsets (in steps) below which float32 decides a code that is not near a tie (avx512.c)."""


def bounds(grid: Grid, relu: bool) -> tuple[float, float]:
    """Where rounded steps are clipped, before the zero point is added; ReLU is a bound like any other."""
    low, high = grid.qmin - grid.zero_point, grid.qmax - grid.zero_point
    return float(max(low, 0) if relu else low), float(high)


def finish_of(epilogue: Epilogue | None, channels: int) -> tuple[Finish, tuple[Any, ...]]:
    """The struct, and the arrays it points to: they must live as long as it is used."""
    if epilogue is None:
        return Finish(SUMS), ()
    also = None if epilogue.also is None else padded(np.broadcast_to(epilogue.also, (channels,)))
    rows = None if epilogue.rows is None else np.ascontiguousarray(epilogue.rows, np.float64)
    arrays = (*epilogue.padded(channels, LANES), getattr(epilogue, "thresholds", None), rows, also)
    places = [address(array) for array in arrays]
    if not isinstance(epilogue, Requantize):
        return Finish(REALS, 32, 0, 0, 0, 0, *places), arrays
    grid, offset, steps = epilogue.out, epilogue.largest_offset, epilogue.thresholds
    # Where a result is not clipped, |y| <= 2^bits and |sum M| <= |y| + |B|: (4 |sum M| + |B| + |y|) 2^-24, and as much
    # again for the zero point that is added before rounding.
    # ELU's polynomial is off by less than 2e-6 of its unit (avx512.c).
    unit = 0.0 if steps is None else float(grid.inverse)
    known = steps is None or np.array_equal(steps, elu_thresholds(unit, len(steps)))
    noise = 4e-6 * unit + 10 * (offset + 2.0 ** (grid.bits + 1)) * 2.0**-24
    count = 0 if steps is None else len(steps)
    head = (CODES, grid.bits, grid.zero_point, count, *bounds(grid, epilogue.relu))
    return Finish(*head, *places, known and offset < LARGE and also is None, 0.5 - noise, unit, 0), arrays


def padded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Whole vectors, for kernels that read nothing less."""
    out = np.zeros(-(-len(values) // LANES) * LANES)
    out[: len(values)] = values
    return out
