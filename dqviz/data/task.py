"""A Task: graphs, split and facts of one data set, ready for training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from dqviz.data.arrays import Array, Arrays

Kind = Literal["node", "graph"]


@dataclass(frozen=True)
class Facts:
    """Counts over all graphs of a task; edges are directed and counted as loaded."""

    graphs: int
    nodes: int
    edges: int
    features: int
    classes: int
    max_in_degree: int
    isolated: int


@dataclass(frozen=True)
class Task:
    """What a model is trained on.

    graphs: one Data (node task) or many; x [num_nodes, num_features] float32, dense or sparse CSR; y [num_nodes] (node
    task) or [1] (graph task), int64. splits: 'train', 'val', 'test' -> boolean masks [num_nodes] (node task) or int64
    positions in `graphs` (graph task). notes: what was decided for the person, one sentence each.
    """

    name: str
    kind: Kind
    graphs: list[Data] = field(repr=False)
    num_features: int
    num_classes: int
    splits: dict[str, Tensor] = field(repr=False)
    metric: str = "accuracy"
    notes: tuple[str, ...] = ()

    @cached_property
    def facts(self) -> Facts:
        degrees = [in_degree(graph) for graph in self.graphs]
        touched = [torch.zeros(len(d), dtype=torch.bool) for d in degrees]
        for mask, graph in zip(touched, self.graphs, strict=True):
            mask[graph.edge_index.reshape(-1)] = True
        return Facts(
            graphs=len(self.graphs),
            nodes=sum(len(d) for d in degrees),
            edges=sum(int(graph.edge_index.size(1)) for graph in self.graphs),
            features=self.num_features,
            classes=self.num_classes,
            max_in_degree=max(int(d.max()) for d in degrees),
            isolated=sum(int((~mask).sum()) for mask in touched),
        )


def in_degree(graph: Data) -> Tensor:
    """Incoming edges of each node [num_nodes], without self-loops (METHODS.md 8)."""
    source, target = graph.edge_index
    return torch.bincount(target[source != target], minlength=int(graph.num_nodes or 0))


def csr(ptr: Array, col: Array, val: Array, shape: tuple[int, int]) -> Tensor:
    """Sparse CSR float32 tensor over the given arrays."""
    with warnings.catch_warnings():
        # torch warns once a process that CSR is in beta; the parts used here are covered by tests.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(ptr), torch.from_numpy(col), torch.from_numpy(val), size=shape, check_invariants=True
        )


def features(arrays: Arrays, row_normalize: bool = False) -> Tensor:
    """x from packed arrays (see `arrays.pack_features`).

    row_normalize divides each row by its sum where that is above 1, as torch_geometric's NormalizeFeatures does.
    """
    if "x" in arrays:
        x = arrays["x"]
        if row_normalize:
            x = x / np.maximum(x.sum(axis=1, keepdims=True), 1)
        return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    ptr, val = arrays["x_ptr"], arrays["x_val"]
    rows, columns = (int(size) for size in arrays["x_shape"])
    if row_normalize:
        row = np.repeat(np.arange(rows), np.diff(ptr))
        total = np.bincount(row, weights=val, minlength=rows)
        val = (val / np.maximum(total, 1)[row]).astype(np.float32)
    return csr(ptr, arrays["x_col"], val, (rows, columns))


def node_task(
    name: str,
    arrays: Arrays,
    masks: Mapping[str, Array],
    *,
    row_normalize: bool = False,
    notes: tuple[str, ...] = (),
) -> Task:
    """A node task from packed features, 'edge_index' [2, num_edges], 'y' [num_nodes] and masks [num_nodes]."""
    x = features(arrays, row_normalize)
    y = torch.from_numpy(arrays["y"].astype(np.int64))
    data = Data(x=x, edge_index=torch.from_numpy(arrays["edge_index"].astype(np.int64)), y=y)
    splits = {part: torch.from_numpy(np.asarray(mask, dtype=np.bool_)) for part, mask in masks.items()}
    return Task(name, "node", [data], int(x.size(1)), int(y.max()) + 1, splits, notes=notes)


def graph_task(name: str, graphs: list[Data], y: Array, splits: Mapping[str, Array]) -> Task:
    """A graph task; `splits` holds positions in `graphs`."""
    indices = {part: torch.from_numpy(np.asarray(index, dtype=np.int64)) for part, index in splits.items()}
    return Task(name, "graph", graphs, int(graphs[0].x.size(1)), int(y.max()) + 1, indices)
