"""Buffers: results that nobody holds any more are written again, because fresh pages cost as much as a kernel."""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from dqviz.integer.memory import aligned, room_for

KEPT = 8
"""Buffers kept of one shape."""
FREE_REFERENCES = 3
"""References to a buffer that only the pool holds: the list, the loop variable, the argument of getrefcount."""
SMALLEST = 1 << 16
"""Bytes below which the allocator has warm memory anyway."""


class Buffers:
    """Arrays by shape and type, each on a cache line. Not for use by several threads at once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[int, ...], str], list[npt.NDArray[np.uint8]]] = defaultdict(list)

    def empty(self, shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[np.generic]:
        """An array with arbitrary contents: one whose last user has let go of it (and of every view of it), or new."""
        if int(np.prod(shape)) * np.dtype(dtype).itemsize < SMALLEST:
            return np.empty(shape, dtype)
        kept = self._kept[shape, np.dtype(dtype).char]
        for base in kept:
            if sys.getrefcount(base) == FREE_REFERENCES:
                return aligned(base, shape, dtype)
        base = np.empty(room_for(shape, dtype), np.uint8)
        if len(kept) < KEPT:
            kept.append(base)
        return aligned(base, shape, dtype)
