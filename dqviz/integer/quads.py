"""Quads: a sparse integer matrix as groups of four entries, the unit that the native kernels work in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Int32, Int64, UInt8

T = TypeVar("T", bound=np.generic)
GROUP = 4
SLACK = 32
"""Entries of index 0 behind the last group: kernels look ahead without asking where the matrix ends."""


def merge_path(steps: Int64, count: int) -> tuple[Int64, Int64]:
    """(row, item) where each of `count` shares of the rows begins, and the end: int64 [count + 1] each.

    `steps` [rows + 1]: rows and items before each row. Shares hold equally many items plus rows (Merrill & Garland,
    SC 2016), so one row with all items is shared too, and many empty rows cost their due.
    """
    diagonal = np.linspace(0, int(steps[-1]), count + 1).astype(np.int64)
    row = np.searchsorted(steps, diagonal, side="right") - 1
    return row, diagonal - row


def fits_byte(low: int, high: int) -> bool:
    """Whether values from low to high are bytes that can all be read the same way, signed or unsigned."""
    return (low >= -128 and high <= 127) or (low >= 0 and high <= 255)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the entries of a matrix by rows lie in its groups; a row owns whole groups.

    ptr int64 [num_rows + 1] in groups; indices int32 [4 groups + slack]; place int64 [entries], where each entry went.
    """

    ptr: Int64
    indices: Int32
    place: Int64

    @property
    def num_rows(self) -> int:
        return len(self.ptr) - 1

    @property
    def room(self) -> int:
        return len(self.indices)

    @cached_property
    def live(self) -> UInt8:
        """1 where there is an entry, 0 where a row is padded."""
        return self.spread(np.ones(len(self.place), np.uint8))

    def spread(self, values: npt.NDArray[T]) -> npt.NDArray[T]:
        """Values [entries, ...] at their places, 0 elsewhere."""
        out: npt.NDArray[T] = np.zeros((self.room, *values.shape[1:]), values.dtype)
        out[self.place] = values
        return out

    @cached_property
    def steps(self) -> Int64:
        """Rows and groups before each row [rows + 1]."""
        return self.ptr + np.arange(self.num_rows + 1)

    def shares(self, count: int) -> tuple[Int64, Int64]:
        """(row, group) where each of `count` shares begins, and the end (`merge_path`)."""
        return merge_path(self.steps, count)


def layout_of(indptr: Int64, indices: Int32) -> Layout:
    """Groups of the rows of a CSR matrix."""
    counts = np.diff(indptr)
    ptr = np.zeros(len(indptr), np.int64)
    np.cumsum(-(-counts // GROUP), out=ptr[1:])
    place = np.arange(len(indices)) + np.repeat(GROUP * ptr[:-1] - indptr[:-1], counts)
    padded = np.zeros(GROUP * int(ptr[-1]) + SLACK, np.int32)
    padded[place] = indices
    return Layout(ptr, padded, place)


@dataclass(frozen=True, eq=False)
class Quads:
    """A layout with weights: bytes uint8 [room] or [room, heads], read as signed unless `nonnegative`."""

    layout: Layout
    weights: UInt8
    weight_sums: Int32
    nonnegative: bool
    fits_int8: bool

    @property
    def heads(self) -> int:
        return 1 if self.weights.ndim == 1 else self.weights.shape[1]


def quads_of(layout: Layout, indptr: Int64, weights: npt.NDArray[Any] | None) -> Quads | None:
    """None where a weight does not fit a byte, signed or unsigned. weights [entries], None: every entry counts once."""
    if weights is None:
        sums = np.diff(indptr).astype(np.int32)
        return Quads(layout, layout.live, sums, True, True)
    low, high = (int(weights.min()), int(weights.max())) if weights.size else (0, 0)
    if not fits_byte(low, high):
        return None
    running = np.concatenate([[0], np.cumsum(weights, dtype=np.int64)])
    sums = (running[indptr[1:]] - running[indptr[:-1]]).astype(np.int32)
    return Quads(layout, layout.spread(weights.astype(np.uint8)), sums, low >= 0, high <= 127)
