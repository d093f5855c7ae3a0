"""What a session prepares once for a graph: its matrices by operation, and which rows are pooled together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric import utils
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.integer.codes import Float32, Float64, Grid, Int64, narrow, quantize
from dqviz.integer.csr import Csr, from_edges
from dqviz.quant.folded import target_steps
from dqviz.quant.qtype import QType
from dqviz.quant.topology import topology_index


@dataclass(frozen=True)
class Edges:
    """Edges as the model gets them: edge_index [2, num_edges] int64. Layers that read the same matrix share it."""

    edge_index: Tensor
    num_nodes: int

    @cached_property
    def plain(self) -> Csr:
        """Every edge counts once; no self-loops are added."""
        source, target = self.edge_index.numpy()
        return from_edges(source, target, self.num_nodes)

    @cached_property
    def mean_factors(self) -> Float64:
        """1 / in-degree of each node [num_nodes]; 1 where there is no edge, as torch_geometric's mean has it."""
        count = np.bincount(self.edge_index[1].numpy(), minlength=self.num_nodes)
        factors: Float64 = 1.0 / np.maximum(count, 1)
        return factors

    @cached_property
    def topology(self) -> Tensor:
        """Topology index of each node [num_nodes]."""
        return topology_index(self.edge_index, self.num_nodes)

    @cached_property
    def with_loops(self) -> Csr:
        """Every node's own loop behind its other edges, in place of those the graph has (GAT)."""
        edge_index, _ = utils.remove_self_loops(self.edge_index)
        edge_index, _ = utils.add_self_loops(edge_index, num_nodes=self.num_nodes)
        source, target = edge_index.numpy()
        return from_edges(source, target, self.num_nodes)

    def normalised(self, grid: Grid, improved: bool, add_self_loops: bool, steps: Float32 | None = None) -> Csr:
        """GCN's symmetric normalisation as torch_geometric computes it in float32, then quantized to `grid`.

        `steps` [num_nodes]: where the features of each node have their own step, a weight takes its source's.
        """
        source, target, weights = self.coefficients(improved, add_self_loops)
        centred = (
            quantize(weights if steps is None else weights * steps[source], grid).astype(np.int64) - grid.zero_point
        )
        return from_edges(source, target, self.num_nodes, narrow(centred))

    def folded(self, grid: Grid, improved: bool, add_self_loops: bool, steps: Float32) -> Csr:
        """The same times the source's step (`steps` [num_nodes]), quantized in steps of each target."""
        source, target, weights, own = self.absorbed(grid, improved, add_self_loops, steps)
        inverse: Float32 = np.float32(1) / own
        centred = np.clip(np.rint(weights * inverse[target]), 0, grid.qmax - grid.qmin).astype(np.int64)
        return from_edges(source, target, self.num_nodes, narrow(centred))

    def absorbed(
        self, grid: Grid, improved: bool, add_self_loops: bool, steps: Float32
    ) -> tuple[Int64, Int64, Float32, Float32]:
        """(source, target, weight times the source's step) [num_edges], and the step of each target [num_nodes]."""
        source, target, weights = self.coefficients(improved, add_self_loops)
        weights = weights * steps[source]
        own = target_steps(torch.from_numpy(weights), torch.from_numpy(target), self.num_nodes, QType(grid.bits))
        return source, target, weights, own.numpy()

    def coefficients(self, improved: bool, add_self_loops: bool) -> tuple[Int64, Int64, Float32]:
        """(source, target, weight) of GCN's normalised adjacency."""
        edge_index, weight = gcn_norm(
            self.edge_index, None, self.num_nodes, improved, add_self_loops, "source_to_target", torch.float32
        )
        source, target = edge_index.numpy()
        return source, target, weight.numpy()


@dataclass(frozen=True, eq=False)
class Prepared:
    """Matrices by name of operation; `pool_ptr` [num_graphs + 1]: where the nodes of each graph begin (graph tasks).

    `rows` float64 [num_nodes] by name of operation: a factor of each row that depends only on the graph (a mean's).
    """

    matrices: Mapping[str, Csr]
    pool_ptr: Int64 | None
    rows: Mapping[str, Float64] = field(default_factory=dict)
    told_apart: bool = False
    """Whether it was said which graph each node is in."""

    @property
    def num_entries(self) -> int:
        return max((matrix.num_entries for matrix in self.matrices.values()), default=0)


def pool_ptr(batch: Tensor | None, num_nodes: int) -> Int64:
    """From `batch` [num_nodes], ascending graph numbers; without it all nodes are one graph."""
    if batch is None:
        return np.array([0, num_nodes], np.int64)
    counts = torch.bincount(batch).numpy()
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Float features by rows: `pattern` has no weights, `values` float32 [entries]."""

    pattern: Csr
    values: Float32

    @cached_property
    def padded(self) -> Float32:
        """Values at the places of the pattern's groups of four, 0 elsewhere."""
        return self.pattern.layout.spread(self.values)


Features = Float32 | SparseRows


def features_of(x: Tensor) -> Features:
    """numpy view of x [num_nodes, num_features], dense or sparse CSR."""
    if x.layout != torch.sparse_csr:
        dense: Float32 = x.detach().numpy()
        return dense
    parts: tuple[Any, ...] = (x.crow_indices().numpy(), x.col_indices().numpy(), x.values().detach().numpy())
    pattern = Csr(parts[0].astype(np.int64), parts[1].astype(np.int32), None, x.size(1))
    return SparseRows(pattern, parts[2])
