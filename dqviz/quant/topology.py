"""Topology index: nodes whose neighbourhoods look alike share quantization parameters (TopGQ).

    index of v = (in-degree d, local Wiener index W)
    W = sum of the distances of all pairs in the neighbourhood of v (v and what it is joined to)
      = n^2 - t,    n neighbours, t edges among them

because two neighbours are 1 apart where they are joined and else 2, by way of v: n + (n (n - 1) - t). Edges count in
both directions and once here, and no node is its own neighbour. Source: TopGQ ("inward degree and localized Wiener
index", openreview.net/forum?id=6tvW2OuGNc, abstract); how far "localized" reaches is not said there, one step is our
choice. Triangles are counted along edges that lead from few to many neighbours, so that a hub costs no square.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from dqviz.quant.scene import Scene, in_degree

Int64 = npt.NDArray[np.int64]
WIENER_BITS = 32
NO_NODE = -1
"""The index of rows that are no nodes (a graph's own)."""


def topology_index(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[num_nodes] int64: in-degree above, local Wiener index in the lower 32 bits; nearby numbers are alike."""
    wiener = torch.from_numpy(local_wiener(edge_index.numpy(), num_nodes)).clamp(max=2**WIENER_BITS - 1)
    return (in_degree(edge_index, num_nodes) << WIENER_BITS) + wiener


def local_wiener(edge_index: Int64, num_nodes: int) -> Int64:
    """W of each node [num_nodes] for edge_index [2, num_edges]."""
    joined = neighbours(edge_index, num_nodes)
    count = np.diff(joined.indptr).astype(np.int64)
    return count**2 - triangles(joined, count)


def neighbours(edge_index: Int64, num_nodes: int) -> sparse.csr_array:
    """Symmetric 0/1 adjacency without self-loops."""
    source, target = edge_index[:, edge_index[0] != edge_index[1]]
    ends = np.concatenate([source, target]), np.concatenate([target, source])
    joined = sparse.csr_array((np.ones(len(ends[0]), np.int64), ends), shape=(num_nodes, num_nodes))
    joined.data[:] = 1
    return joined


def triangles(joined: sparse.csr_array, count: Int64) -> Int64:
    """Edges among the neighbours of each node."""
    row, column = joined.nonzero()
    up = (count[row] < count[column]) | ((count[row] == count[column]) & (row < column))
    upward = sparse.csr_array((np.ones(int(up.sum()), np.int64), (row[up], column[up])), shape=joined.shape)
    ends = (upward @ upward).multiply(upward)  # (lowest, highest) of a triangle: how many lie between
    middle = (upward @ upward.T).multiply(upward)  # (lowest, middle): how many lie above both
    found: Int64 = ends.sum(axis=1) + ends.sum(axis=0) + middle.sum(axis=0)
    return found


def nearest(known: Tensor, wanted: Tensor) -> Tensor:
    """Position in ascending `known` [groups] (not empty) of what is nearest to each of `wanted` [rows]."""
    right = torch.searchsorted(known, wanted).clamp(max=known.numel() - 1)
    left = (right - 1).clamp(min=0)
    return torch.where((wanted - known[left]).abs() <= (known[right] - wanted).abs(), left, right)


class Topology:
    """Topology index of the graph of this forward pass, worked out once a graph."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._edges: Tensor | None = None
        self._index = torch.empty(0, dtype=torch.long)

    def index(self, num_rows: int, node: Tensor | None = None) -> Tensor:
        """[num_rows]: of the node of each row; NO_NODE where rows are no nodes of this graph."""
        edges = self.scene.edge_index
        if edges is None or (node is None and num_rows != self.scene.num_nodes):
            return torch.full((num_rows,), NO_NODE)
        if self._edges is not edges or self._index.numel() != self.scene.num_nodes:
            self._edges, self._index = edges, topology_index(edges, self.scene.num_nodes)
        return self._index if node is None else self._index[node]
