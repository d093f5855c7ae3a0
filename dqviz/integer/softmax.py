"""Softmax of attention in codes: exponentials from a table of every sum that two codes can have.

    s = code(source) + code(target);   e = table[s] = exp(leaky_relu((s - 2 z) step) - shift)
    coefficient = float32(e / sum of e over the entries of the row);   weight = clip(rint(coefficient / step of NORM))

Sums are float64, entry by entry in the order of the row, so that every backend gives the same bits. torch_geometric
subtracts the largest logit of each row and adds 1e-16 to a sum of at least 1, which float64 does not see. A common
shift of all rows needs no second pass, and nothing overflows because the span of the table is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dqviz.errors import Unavailable
from dqviz.integer.codes import Float64, Grid, Int32, Int64, UInt8
from dqviz.integer.csr import Csr

TOP, MAX_SPAN = 600.0, 1300.0
"""Exponent of the largest entry (2^31 times e^600 is far from overflow); span down to the smallest normal number."""


@dataclass(frozen=True, eq=False)
class Softmax:
    """`table` float64 [4 x levels of `scores` - 3 at most], index s - first; weights are codes of `out` (NORM)."""

    table: Float64
    scores: Grid
    out: Grid

    @property
    def first(self) -> int:
        return 2 * self.scores.qmin

    @property
    def high(self) -> int:
        """Largest weight; the smallest is 0, for no coefficient is negative."""
        return self.out.qmax - self.out.zero_point

    def reach(self, degree: int) -> int:
        """Bound on the sum of a row's weights: each at most `high`, all of them 1 / step but for their rounding."""
        return min(degree * self.high, int(self.out.inverse * (1 + 1e-6) + 0.5 * degree) + 1)


def softmax_of(scores: Grid, out: Grid, slope: float) -> Softmax:
    """`slope`: of LeakyReLU below 0. Unavailable where the logits span more than float64 can tell apart."""
    sums = np.arange(2 * scores.qmin, 2 * scores.qmax + 1) - 2 * scores.zero_point
    logits = sums * scores.scale
    logits = np.where(logits > 0, logits, logits * slope)
    if not np.ptp(logits) <= MAX_SPAN:
        raise Unavailable(f"No integer run: the attention logits of site {scores.key!r} span {np.ptp(logits):.0f}, "
                          f"more than {MAX_SPAN:.0f}.")  # fmt: skip
    return Softmax(np.exp(logits - logits.max() + TOP), scores, out)


def attention_weights(matrix: Csr, source: Int64, target: Int64, softmax: Softmax) -> UInt8:
    """numpy's answer: source, target [num_nodes, heads] codes of `scores` -> weights uint8 [entries, heads]."""
    row: Int64 = matrix.row_of_entry()
    column: Int32 = matrix.indices
    e = softmax.table[source[column] + target[row] - softmax.first]
    total = np.zeros((matrix.num_rows, source.shape[1]))
    np.add.at(total, row, e)  # one addition after the other, in the order of the entries
    steps = (e / total[row]).astype(np.float32) * np.float32(softmax.out.inverse)
    weights: UInt8 = np.rint(np.minimum(steps, np.float32(softmax.high))).astype(np.uint8)
    return weights
