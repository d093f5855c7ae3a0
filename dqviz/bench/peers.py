"""Float peers of the sparse product: what an engineer could use today instead of our integer kernels.

An engine takes a matrix by rows with float32 weights [entries], prepares what depends only on it, and gives the product
as a function of the dense factor [num_cols, channels].
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import SimpleConv

from dqviz.integer.codes import Float32
from dqviz.integer.csr import Csr
from dqviz.integer.kernels.native import Native
from dqviz.integer.kernels.parallel import Numba
from dqviz.integer.quads import Layout

Product = Callable[[Tensor], Tensor]


def torch_csr(matrix: Csr, weights: Tensor) -> Product:
    """torch's own sparse CSR product."""
    size = (matrix.num_rows, matrix.num_cols)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        adjacency = torch.sparse_csr_tensor(*offsets_and_indices(matrix), weights, size, check_invariants=False)
    return lambda x: adjacency @ x


def fbgemm(matrix: Csr, weights: Tensor) -> Product:
    """`embedding_bag`: FBGEMM, the fastest float sparse product in torch on CPU."""
    offsets, indices = offsets_and_indices(matrix)
    return lambda x: F.embedding_bag(indices, x, offsets, mode="sum", per_sample_weights=weights,
                                     include_last_offset=True)  # fmt: skip


def our_own(matrix: Csr, weights: Tensor) -> Product:
    """Our own FP32 kernel of the integer kernels' design, with as many threads as torch has now."""
    kernel = FloatKernel(matrix)
    laid = kernel.laid(weights)
    return lambda x: kernel.product(laid, x)


class FloatKernel:
    """The FP32 kernel of the backend that `own_name` names. Weights lie as its layout wants them: `laid`."""

    def __init__(self, matrix: Csr) -> None:
        native = Native.available()
        self.backend: Native | Numba = (Native if native else Numba)(torch.get_num_threads())
        self.matrix = matrix
        self.layout: Layout | None = matrix.layout if native else None

    def laid(self, weights: Tensor) -> Float32:
        """Weights [entries] where the kernel reads them: rows padded to groups of four for `native`."""
        values: Float32 = weights.contiguous().numpy()
        return values if self.layout is None else self.layout.spread(values)

    def product(self, laid: Float32, x: Tensor) -> Tensor:
        return torch.from_numpy(self.backend.spmm_float(self.matrix, laid, x.contiguous().numpy()))


def own_name() -> str:
    """The backend whose design our own FP32 kernel shares: native where it is built, numba elsewhere."""
    return "native" if Native.available() else "numba"


def offsets_and_indices(matrix: Csr) -> tuple[Tensor, Tensor]:
    """int32, which torch's kernels read faster than int64."""
    return torch.from_numpy(matrix.indptr.astype(np.int32)), torch.from_numpy(matrix.indices)


ENGINES: dict[str, Callable[[Csr, Tensor], Product]] = {"torch-csr": torch_csr, "fbgemm": fbgemm, own_name(): our_own}
"""By backend name, at the thread count pinned around them."""


def pyg(edge_index: Tensor, edge_weight: Tensor) -> Product:
    """torch_geometric as its documentation writes it: a message-passing layer on edge_index."""
    conv = SimpleConv(aggr="sum")
    return lambda x: conv(x, edge_index, edge_weight)
