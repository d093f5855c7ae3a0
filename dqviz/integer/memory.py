"""Arrays that begin on a cache line: a row of 64 bytes that straddles two costs a sparse product two reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64


def aligned(base: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The first array of this shape and type in `base` (flat bytes, `room_for` of them) that begins on a line."""
    skip = -base.ctypes.data % LINE
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return base[skip : skip + size].view(dtype).reshape(shape)


def room_for(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """Bytes that hold such an array wherever they begin."""
    return int(np.prod(shape)) * np.dtype(dtype).itemsize + LINE


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array with arbitrary contents that begins on a line."""
    return aligned(np.empty(room_for(shape, dtype), np.uint8), shape, dtype)


def on_a_line(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, or a copy of it that begins on a line."""
    if array.ctypes.data % LINE == 0:
        return array
    copy = empty(array.shape, array.dtype)
    copy[...] = array
    return copy
