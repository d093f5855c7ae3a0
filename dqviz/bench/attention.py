"""GAT's attention in float32, all heads in one product: rows are (node, head), so no head costs a pass of its own.

out[v, h] = sum_u exp(l[u, v, h]) x[u, h] / sum_u exp(l[u, v, h]), l = LeakyReLU(s[u, h] + d[v, h]): dividing last saves
a pass over the edges. The vectors of attention are folded into the weights: s and d are products with the input.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import add_self_loops, remove_self_loops

from dqviz.bench.bytes import bytes_of_spmm
from dqviz.bench.peers import FloatKernel, offsets_and_indices
from dqviz.integer.csr import Csr, from_edges

SAFE = 80.0
"""exp stays finite and above zero in float32 for logits within this: then no maximum needs to be subtracted."""
LEAST = 1e-16
"""What torch_geometric's softmax adds to a sum."""

Weighted = Callable[[Tensor, Tensor], Tensor]
"""(weights of the entries, rows [num_nodes heads, channels]) -> sums of the same shape."""


@dataclass(frozen=True, eq=False)
class Attention:
    """Prepared for one layer on one graph; entries as the engine lays them.

    folded [2 heads, in_channels]; source, bag int32 [entries]: place of s and of d of each entry.
    """

    heads: int
    slope: float
    folded: Tensor
    source: Tensor
    bag: Tensor
    offsets: Tensor
    columns: Tensor
    weighted: Weighted
    concat: bool
    moved: int

    @classmethod
    def of(cls, conv: Any, engine: str, edge_index: Tensor, num_nodes: int) -> Attention:
        matrix = by_heads(conv, edge_index, num_nodes)
        kernel = FloatKernel(matrix)
        if engine in ("torch-csr", "fbgemm"):
            offsets, columns = offsets_and_indices(matrix)
            source, weighted = columns, torch_product(engine, offsets, columns)
        else:
            offsets, columns, source = laid(kernel)
            weighted = lambda weights, rows: kernel.product(weights.numpy(), rows)  # noqa: E731
        bag = torch.zeros(len(source), dtype=torch.int32)
        bag[: len(columns)] = torch.repeat_interleave(torch.arange(matrix.num_rows), offsets.diff())
        width = 4 * conv.out_channels
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            row_sums(offsets, columns, torch.zeros(len(columns)))  # torch warns once a process
        return cls(conv.heads, conv.negative_slope, folded(conv), source, bag, offsets, columns, weighted, conv.concat,
                   bytes_of_spmm(matrix, width, 4, width))  # fmt: skip

    def weights(self, logits: Tensor) -> Tensor:
        """logits [num_nodes, 2 heads] -> exp of each entry, not yet divided by its row's sum."""
        s, d = (part.reshape(-1) for part in (logits[:, : self.heads], logits[:, self.heads :]))
        spread = float(s.abs().max() + d.abs().max()) if len(s) else 0.0
        s = torch.cat([s, s.new_full((1,), -torch.inf)])
        entries = F.leaky_relu_(s.index_select(0, self.source).add_(d.index_select(0, self.bag)), self.slope)
        if spread > SAFE:
            entries.sub_(row_maxima(entries[: len(self.columns)], self.offsets).index_select(0, self.bag))
        return entries.exp_()

    def sum(self, rows: Tensor, weights: Tensor) -> Tensor:
        """rows [num_nodes, heads channels] -> the same, weighted, heads side by side or as their mean."""
        by_head = rows.view(len(rows) * self.heads, -1)
        total = row_sums(self.offsets, self.columns, weights[: len(self.columns)]).clamp_min_(LEAST)
        out = self.weighted(weights, by_head).div_(total[:, None]).view(len(rows), self.heads, -1)
        return out.flatten(1) if self.concat else out.mean(dim=1)


def by_heads(conv: Any, edge_index: Tensor, num_nodes: int) -> Csr:
    """The pattern with rows and columns (node, head): row v heads + h lists the columns u heads + h."""
    edge_index = with_loops(edge_index, num_nodes) if conv.add_self_loops else edge_index
    source, target = edge_index.numpy()
    matrix = from_edges(source, target, num_nodes)
    heads, count = conv.heads, np.repeat(np.diff(matrix.indptr), conv.heads)
    indptr = np.concatenate([[0], np.cumsum(count)])
    row = np.repeat(np.arange(num_nodes * heads), count)
    entry = matrix.indptr[row // heads] + np.arange(len(row)) - indptr[row]
    columns = matrix.indices[entry].astype(np.int64) * heads + row % heads
    return Csr(indptr, columns.astype(np.int32), None, num_nodes * heads)


def with_loops(edge_index: Tensor, num_nodes: int) -> Tensor:
    """One loop a node, in place of those the graph has."""
    looped: Tensor = add_self_loops(remove_self_loops(edge_index)[0], num_nodes=num_nodes)[0]
    return looped


def folded(conv: Any) -> Tensor:
    """[2 heads, in_channels]: attention vectors times the weights of the layer, first of sources, then of targets."""
    weight = conv.lin.weight.detach().view(conv.heads, conv.out_channels, -1)
    parts = [(weight * vector.detach().view(conv.heads, -1, 1)).sum(dim=1) for vector in (conv.att_src, conv.att_dst)]
    return torch.cat(parts)


def torch_product(engine: str, offsets: Tensor, columns: Tensor) -> Weighted:
    """embedding_bag, or torch's CSR product, with weights that come with each call."""
    if engine == "fbgemm":
        return lambda weights, rows: F.embedding_bag(columns, rows, offsets, mode="sum", per_sample_weights=weights,
                                                     include_last_offset=True)  # fmt: skip
    return lambda weights, rows: sparse(offsets, columns, weights, len(rows)) @ rows


def laid(kernel: FloatKernel) -> tuple[Tensor, Tensor, Tensor]:
    """(offsets, columns, sources) as our own kernel lays entries; a padded place has the source that weighs nothing.

    There are more sources than columns: the kernel looks at some weights behind the last row.
    """
    matrix, layout = kernel.matrix, kernel.layout
    if layout is None:
        offsets, columns = offsets_and_indices(matrix)
        return offsets, columns, columns
    padded: Any = layout.spread(matrix.indices)
    padded[layout.live == 0] = matrix.num_rows
    end = 4 * int(layout.ptr[-1])
    offsets = torch.from_numpy((4 * layout.ptr).astype(np.int32))
    return offsets, torch.from_numpy(layout.indices[:end].copy()), torch.from_numpy(padded)


def row_sums(offsets: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Sum of each row's weights: a product with ones, which torch shares among threads (segment_reduce takes twice)."""
    rows = len(offsets) - 1
    sums: Tensor = sparse(offsets, columns, weights, rows) @ torch.ones(rows)
    return sums


def row_maxima(values: Tensor, offsets: Tensor) -> Tensor:
    found = torch.segment_reduce(values, "max", offsets=offsets.long(), unsafe=True)
    return torch.where(found.isfinite(), found, 0.0)


def sparse(offsets: Tensor, columns: Tensor, weights: Tensor, rows: int) -> Tensor:
    return torch.sparse_csr_tensor(offsets, columns, weights, (rows, rows), check_invariants=False)
