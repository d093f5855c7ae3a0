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

from dqviz.integer.csr import Csr
from dqviz.integer.kernels.parallel import Numba

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


def numba(matrix: Csr, weights: Tensor) -> Product:
    """Our own FP32 kernel of the integer kernels' design, with as many threads as torch has now."""
    backend, values = Numba(torch.get_num_threads()), weights.numpy()
    return lambda x: torch.from_numpy(backend.spmm_float(matrix, values, x.numpy()))


def offsets_and_indices(matrix: Csr) -> tuple[Tensor, Tensor]:
    """int32, which torch's kernels read faster than int64."""
    return torch.from_numpy(matrix.indptr.astype(np.int32)), torch.from_numpy(matrix.indices)


ENGINES: dict[str, Callable[[Csr, Tensor], Product]] = {"torch-csr": torch_csr, "fbgemm": fbgemm, "numba": numba}
"""By backend name, at the thread count pinned around them."""


def pyg(edge_index: Tensor, edge_weight: Tensor) -> Product:
    """torch_geometric as its documentation writes it: a message-passing layer on edge_index."""
    conv = SimpleConv(aggr="sum")
    return lambda x: conv(x, edge_index, edge_weight)
