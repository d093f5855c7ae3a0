"""What a site sees where one row stands for several: GIN and SAGE quantize what a node sends once, not on every edge.

Codes are the same either way, a percentile is not. Of a batch of REDDIT-BINARY the largest 0.1 % of the nodes send a
sixth of the messages: a percentile over nodes clips them at a twentieth of the largest, one over messages at none.
"""

from __future__ import annotations

from torch import Tensor

from dqviz.quant import passes
from dqviz.quant.passes import Copies, Protected, Seen, shown


def look(x: Tensor, protected: Protected | None, copies: Copies, lo: float, hi: float) -> Seen:
    """As `passes.look` on x where each value lies as often as `copies` says."""
    seen = passes.look(x, hidden(protected, copies), lo, hi)
    if seen.low >= lo and seen.high <= hi:
        return seen
    return Seen(seen.low, seen.high, *passes.counts(x, protected, copies, lo, hi))


def beyond(x: Tensor, protected: Protected | None, copies: Copies, end: float, k: int, upper: bool) -> float:
    """The k-th of all copies of values beyond `end`, counted from outside; at least k lie there. `upper`: above it."""
    values = shown(x, hidden(protected, copies))
    outside = values > end if upper else values < end
    tail, order = values[outside].topk(min(k, int(outside.sum())), largest=upper)  # each lies there at least once
    often = copies.by_value(x)[outside][order].cumsum(0)
    return float(tail[int((often < k).sum())])


def hidden(protected: Protected | None, copies: Copies) -> Protected | None:
    """Rows that are protected or stand for nothing."""
    if copies.silent is None:
        return protected
    return Protected(copies.silent if protected is None else copies.silent | protected.rows, copies.ptr)
