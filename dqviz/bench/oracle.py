"""The oracle of `exact`: the reference backend with the same sums by faster exact means, for graphs of full size.

The reference takes minutes for a network on a large graph. Sums of a sparse product come from scipy in int64, dense
ones from float64, which holds every integer below 2^53; a test holds both against the reference.
"""

from __future__ import annotations

import numpy as np

from dqviz.integer.codes import Codes, Int64
from dqviz.integer.csr import Csr, scipy_of
from dqviz.integer.epilogue import Epilogue
from dqviz.integer.kernels.base import Output, finish
from dqviz.integer.kernels.reference import Reference, centre
from dqviz.integer.weight import Weight

LARGEST = 2**53


class Oracle(Reference):
    """The reference, faster."""

    def sums(self, matrix: Csr, x: Int64) -> Int64:
        """One product a head."""
        if not matrix.headed:
            plain: Int64 = scipy_of(matrix) @ x
            return plain
        parts = [scipy_of(matrix.of_head(head)) @ part for head, part in enumerate(np.split(x, matrix.heads, axis=1))]
        return np.concatenate(parts, axis=1)

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        bound = x.channels * 255 * 255
        if bound >= LARGEST:
            return super().gemm(x, weight, epilogue)
        product = centre(x).astype(np.float64) @ (weight.codes.astype(np.float64) - weight.zero)
        return finish(product.astype(np.int64), epilogue, bound)
