"""reference: the oracle. Plain numpy in int64, no cleverness, no threads; slow on purpose.

Every other backend must equal it to the bit on the contract graphs (tests/integer).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dqviz.integer.codes import Codes, Float32, Float64, Grid, Int64, narrow, quantize
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.kernels.base import Backend, Output, finish, need_no_offset, need_requantize
from dqviz.integer.softmax import Softmax, attention_weights
from dqviz.integer.weight import Weight
from dqviz.registry import Entry

BLOCK = 2**23
"""Products held at once: channels are taken in blocks of BLOCK / entries."""


class Reference(Backend):
    """numpy int64."""

    def quantize(self, x: Float32, params: Grid) -> Codes:
        return Codes.of(quantize(x, params), params)

    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        need_requantize(epilogue, own)
        centred = centre(x)
        acc = self.sums(matrix, centred)
        if own and isinstance(epilogue, Requantize):
            return Codes.of(epilogue.apply(acc.astype(np.float64) + own * centred.astype(np.float64)), epilogue.out)
        return finish(acc, epilogue, matrix.reach * x.params.reach)

    def sums(self, matrix: Csr, x: Int64) -> Int64:
        """Weighted sums of the rows of x [num_cols, channels], exact."""
        return row_sums(matrix, x)

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        acc = centre(x) @ (weight.codes.astype(np.int64) - weight.zero)
        return finish(acc, epilogue, x.channels * 255 * 255)

    def attention(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Csr:
        return replace(matrix, weights=attention_weights(matrix, *halves(scores), softmax))

    def sum_sparse(self, matrix: Csr, x: Csr, own: float, epilogue: Requantize) -> Csr:
        need_no_offset(epilogue)
        dense = densify(x)
        y: Float64 = self.sums(matrix, dense).astype(np.float64) + own * dense.astype(np.float64)
        centred = epilogue.apply(y).astype(np.int64) - epilogue.out.zero_point
        row, column = np.nonzero(centred)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(centred)))]).astype(np.int64)
        return Csr(indptr, column.astype(np.int32), narrow(centred[row, column]), x.num_cols)


def halves(scores: Codes) -> tuple[Int64, Int64]:
    """(source, target) codes [num_nodes, heads] of scores [num_nodes, 2 heads]."""
    values = scores.values.astype(np.int64)
    heads = values.shape[1] // 2
    return values[:, :heads], values[:, heads:]


def centre(x: Codes) -> Int64:
    """code - zero point [rows, channels]."""
    return x.values.astype(np.int64) - x.params.zero_point


def row_sums(matrix: Csr, x: Int64) -> Int64:
    """Weighted sums of the rows of x [num_cols, channels] by differences of a running sum: exact, empty rows give 0."""
    out = np.zeros((matrix.num_rows, x.shape[1]), np.int64)
    weights = np.ones(matrix.num_entries, np.int64) if matrix.weights is None else matrix.weights.astype(np.int64)
    weights = weights.reshape(matrix.num_entries, matrix.heads)
    head = np.arange(x.shape[1]) * matrix.heads // max(1, x.shape[1])
    step = max(1, BLOCK // max(1, matrix.num_entries))
    for first in range(0, x.shape[1], step):
        block = slice(first, first + step)
        running = np.zeros((matrix.num_entries + 1, len(range(x.shape[1])[block])), np.int64)
        np.cumsum(weights[:, head[block]] * x[matrix.indices, block], axis=0, out=running[1:])
        out[:, block] = running[matrix.indptr[1:]] - running[matrix.indptr[:-1]]
    return out


def densify(x: Csr) -> Int64:
    """Centred codes of a sparse matrix as a dense one [num_rows, num_cols]; repeated columns add up."""
    dense = np.zeros((x.num_rows, x.num_cols), np.int64)
    np.add.at(dense, (x.row_of_entry(), x.indices), 1 if x.weights is None else x.weights)
    return dense


ENTRY: Entry[Backend] = Entry("reference", "numpy in int64: the oracle every other backend must equal to the bit.",
                              Reference, facts={"class": Reference})  # fmt: skip
