"""Sums of sparse rows over a graph: which entries meet where, known from the two patterns alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dqviz.integer.codes import Int32, Int64
from dqviz.integer.csr import Csr

MOST = 1 << 26
"""Additions whose places are listed at most: 4 bytes each, and six times as many while they are found."""


@dataclass(frozen=True, eq=False)
class Meeting:
    """Entry i of the sum adds the entries of x at places `source[ptr[i]:ptr[i + 1]]` and, where a row's own entry
    belongs to it, the one at `own[i]` (-1: none). Places are those of x's layout; `pattern` has no weights.
    """

    pattern: Csr
    ptr: Int64
    source: Int32
    own: Int32


def meeting(matrix: Csr, x: Csr, with_own: bool) -> Meeting | None:
    """Of the unweighted sum of x's rows over `matrix`, which remembers it; None where the list would be too long."""
    known = matrix.__dict__.get("_meeting")
    if known is None or known[0] is not x.indptr or known[1] is not x.indices or known[2] != with_own:
        known = x.indptr, x.indices, with_own, found(matrix, x, with_own)
        matrix.__dict__["_meeting"] = known
    sums: Meeting | None = known[3]
    return sums


def found(matrix: Csr, x: Csr, with_own: bool) -> Meeting | None:
    held = np.diff(x.indptr)
    counts = held[matrix.indices]
    added = int(counts.sum())
    if added > MOST:
        return None
    first = np.cumsum(counts) - counts
    entry = np.arange(added) + np.repeat(x.indptr[matrix.indices] - first, counts)
    spot = np.repeat(matrix.row_of_entry(), counts) * x.num_cols + x.indices[entry]
    mine = x.row_of_entry() * x.num_cols + x.indices if with_own else np.zeros(0, np.int64)
    spots = np.unique(np.concatenate([spot, mine]))  # row by row, column by column
    at = np.searchsorted(spots, spot)
    own = np.full(len(spots), -1, np.int32)
    own[np.searchsorted(spots, mine)] = x.layout.place[: len(mine)]
    ptr = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=len(spots)))]).astype(np.int64)
    row, column = spots // max(x.num_cols, 1), (spots % max(x.num_cols, 1)).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=matrix.num_rows))]).astype(np.int64)
    source = x.layout.place[entry[np.argsort(at, kind="stable")]].astype(np.int32)
    return Meeting(Csr(indptr, column, None, x.num_cols), ptr, source, own)
