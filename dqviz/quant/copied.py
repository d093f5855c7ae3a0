"""What a site sees where one row stands for several: GIN and SAGE quantize what a node sends once, not on every edge.

Codes are the same either way, a percentile is not. Of a batch of REDDIT-BINARY the largest 0.1 % of the nodes send a
sixth of the messages: a percentile over nodes clips them at a twentieth of the largest, one over messages at none.
"""

from __future__ import annotations

from torch import Tensor

from dqviz.quant import passes
from dqviz.quant.passes import Protected, Seen, shown


def look(x: Tensor, protected: Protected | None, copies: Tensor, lo: float, hi: float) -> Seen:
    """As `passes.look` on x [rows, ...] with row i `copies[i]` times; copies [rows] int64."""
    seen = passes.look(x, unsent(x, protected, copies), lo, hi)
    if seen.low >= lo and seen.high <= hi:
        return seen
    return Seen(seen.low, seen.high, *passes.counts(x, protected, copies, lo, hi))


def beyond(x: Tensor, protected: Protected | None, copies: Tensor, end: float, k: int, upper: bool) -> float:
    """The k-th of all copies of values beyond `end`, counted from outside; at least k lie there. `upper`: above it."""
    values = shown(x, unsent(x, protected, copies))
    outside = values > end if upper else values < end
    tail, order = values[outside].sort(descending=upper)
    often = by_value(copies, x)[outside][order].cumsum(0)
    return float(tail[int((often < k).sum())])


def unsent(x: Tensor, protected: Protected | None, copies: Tensor) -> Protected:
    """Rows that are protected or stand for nothing; one row a value where x is that of CSR rows."""
    nothing = copies == 0
    if protected is None:
        return Protected(nothing)
    return Protected(nothing | (protected.rows if protected.ptr is None else protected.mask(x)))


def by_value(copies: Tensor, x: Tensor) -> Tensor:
    """Copies of each value, in the shape of x."""
    return copies.view(-1, *[1] * (x.dim() - 1)).expand_as(x)
