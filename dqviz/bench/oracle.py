"""The oracle of `exact`: the reference backend with the same sums by faster exact means, for graphs of full size.

The reference takes minutes for a network on a large graph. Sums of a sparse product come from scipy in int64, dense
ones from float64, which holds every integer below 2^53; a test holds both against the reference.
"""

from __future__ import annotations

import numpy as np

from dqviz.integer.codes import Codes, Int64
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.kernels.base import Output, finish, need_requantize
from dqviz.integer.kernels.parallel import scipy_of
from dqviz.integer.kernels.reference import Reference, centre
from dqviz.integer.weight import Weight

LARGEST = 2**53


class Oracle(Reference):
    """The reference, faster."""

    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        need_requantize(epilogue, own)
        centred = centre(x)
        sums = row_sums(matrix, centred)
        if own and isinstance(epilogue, Requantize):
            return Codes.of(epilogue.apply(sums.astype(np.float64) + own * centred.astype(np.float64)), epilogue.out)
        return finish(sums, epilogue, matrix.reach * x.params.reach)

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        bound = x.channels * 255 * 255
        if bound >= LARGEST:
            return super().gemm(x, weight, epilogue)
        product = centre(x).astype(np.float64) @ (weight.codes.astype(np.float64) - weight.zero)
        return finish(product.astype(np.int64), epilogue, bound)


def row_sums(matrix: Csr, x: Int64) -> Int64:
    """Weighted sums of the rows of x [num_cols, channels], one product a head."""
    if matrix.weights is None or matrix.weights.ndim == 1:
        sums: Int64 = scipy_of(matrix) @ x
        return sums
    heads = matrix.weights.shape[1]
    parts = [scipy_of(of_head(matrix, head)) @ part for head, part in enumerate(np.split(x, heads, axis=1))]
    return np.concatenate(parts, axis=1)


def of_head(matrix: Csr, head: int) -> Csr:
    """The matrix with the weights of one head."""
    weights = None if matrix.weights is None else matrix.weights[:, head]
    return Csr(matrix.indptr, matrix.indices, weights, matrix.num_cols)
