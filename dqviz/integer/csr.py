"""Csr: a sparse integer matrix by rows, and how its work is shared among threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from dqviz.integer.codes import Int32, Int64
from dqviz.integer.quads import Layout, Quads, layout_of, merge_path, quads_of

Weights = npt.NDArray[np.int8] | npt.NDArray[np.int16] | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Csr:
    """Rows of (column, weight). `weights` are centred codes (zero point 0), or None where every entry counts once.

    indptr int64 [rows + 1], indices int32 [entries], weights int8, uint8 or int16 [entries], or [entries, heads]: then
    the channels of the other factor are split evenly among the heads.
    """

    indptr: Int64
    indices: Int32
    weights: Weights | None
    num_cols: int

    @property
    def num_rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_entries(self) -> int:
        return len(self.indices)

    @property
    def size_bytes(self) -> int:
        return self.indptr.nbytes + self.indices.nbytes + (0 if self.weights is None else self.weights.nbytes)

    @property
    def headed(self) -> bool:
        """Whether each entry has a weight for every head (one head is possible)."""
        return self.weights is not None and self.weights.ndim == 2

    @property
    def heads(self) -> int:
        return self.weights.shape[1] if self.weights is not None and self.weights.ndim == 2 else 1

    def of_head(self, head: int) -> Csr:
        """The matrix of one attention head."""
        if self.weights is None or self.weights.ndim == 1:
            return self
        weights: Any = np.ascontiguousarray(self.weights[:, head])
        return Csr(self.indptr, self.indices, weights, self.num_cols)

    @cached_property
    def degree(self) -> int:
        """Entries of the longest row."""
        return int(np.diff(self.indptr).max(initial=0))

    def row_of_entry(self) -> Int64:
        """Row of each entry [entries]."""
        return np.repeat(np.arange(self.num_rows), np.diff(self.indptr))

    @cached_property
    def reach(self) -> int:
        """Largest sum of |weight| over a row: times the reach of the other factor it bounds every partial sum."""
        if self.num_entries == 0:
            return 0
        if self.weights is None:
            return self.degree
        running = np.zeros((self.num_entries + 1, *self.weights.shape[1:]), np.int64)
        np.cumsum(np.abs(self.weights.astype(np.int64)), axis=0, out=running[1:])
        return int((running[self.indptr[1:]] - running[self.indptr[:-1]]).max())

    @cached_property
    def layout(self) -> Layout:
        """Groups of four entries, without weights."""
        return layout_of(self.indptr, self.indices)

    @cached_property
    def quads(self) -> Quads | None:
        """The matrix as the native kernels take it; None where a weight does not fit a byte."""
        if not self.headed:
            return quads_of(self.layout, self.indptr, self.weights)
        return together([quads_of(self.layout, self.indptr, self.of_head(head).weights) for head in range(self.heads)])

    @cached_property
    def steps(self) -> Int64:
        """Rows and entries before each row [rows + 1]."""
        return self.indptr + np.arange(self.num_rows + 1)

    def shares(self, count: int) -> tuple[Int64, Int64]:
        """(row, entry) where each of `count` shares begins, and the end (`merge_path`)."""
        return merge_path(self.steps, count)


def together(parts: Sequence[Quads | None]) -> Quads | None:
    """One matrix of the matrices of several heads, whose bytes must all be read the same way."""
    quads = [part for part in parts if part is not None]
    nonnegative, fits_int8 = all(part.nonnegative for part in quads), all(part.fits_int8 for part in quads)
    if len(quads) < len(parts) or not (nonnegative or fits_int8):
        return None
    weights = np.stack([part.weights for part in quads], axis=1)
    sums = np.stack([part.weight_sums for part in quads], axis=1)
    return Quads(quads[0].layout, weights, sums, nonnegative, fits_int8)


def order_by_row(rows: Int64, num_rows: int) -> tuple[Int64, Int64]:
    """(order [entries], indptr [num_rows + 1]): a stable sort of entries by row."""
    indptr = np.zeros(num_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=num_rows), out=indptr[1:])
    return np.argsort(rows, kind="stable"), indptr


def from_edges(source: Int64, target: Int64, num_nodes: int, weights: Weights | None = None) -> Csr:
    """Adjacency by target: row v lists the sources of the edges into v. source, target, weights [num_edges]."""
    order, indptr = order_by_row(target, num_nodes)
    kept: Weights | None = None if weights is None else weights[order]
    return Csr(indptr, source[order].astype(np.int32), kept, num_nodes)


def scipy_of(matrix: Csr) -> Any:
    """The same matrix for scipy, int64 (scipy's own int8 product overflows silently)."""
    data = np.ones(matrix.num_entries, np.int64) if matrix.weights is None else matrix.weights.astype(np.int64)
    return scipy.sparse.csr_array((data, matrix.indices, matrix.indptr), shape=(matrix.num_rows, matrix.num_cols))
