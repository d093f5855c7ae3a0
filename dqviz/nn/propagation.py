"""Propagation after prediction: an MLP on the rows, then steps that mix its logits along the edges and learn nothing.

A step is torch_geometric's own APPNP layer with the row it goes back to as an argument, so that one layer serves both
architectures made of it (`appnp`, `smp`), and each step has quantizers of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.nn import APPNP, global_mean_pool
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.nn.neighbours import NeighbourSum
from dqviz.nn.stack import StackSettings, drop


class PropagationSettings(StackSettings):
    """Width of the MLP, number of steps, dropout."""

    layers: int = Field(default=10, ge=1, le=64, description="Propagation steps K.")
    hidden: int = Field(default=64, ge=1, le=4096, description="Hidden channels of the MLP before the propagation.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Dropout before both layers of the MLP.")


@dataclass(frozen=True)
class Step:
    """M = kept H + around A^ H + start H^0; then H' = M, or M + change A^ (M - H) where `change` is given."""

    around: float
    start: float
    kept: float = 0.0
    change: float | None = None


class Propagate(APPNP):  # type: ignore[misc]  # torch_geometric is untyped
    """One sum of a step: rest + weight (A^ x), A^ the symmetric normalisation with self-loops. No parameters.

    `changes`: x is a difference, not what another layer has left.
    """

    def __init__(self, channels: int, aggr: NeighbourSum, changes: bool = False) -> None:
        super().__init__(K=1, alpha=0.0, normalize=False, aggr=aggr)
        self.channels, self.changes = channels, changes

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor, rest: Tensor, weight: float) -> Tensor:
        """x, rest [num_nodes, channels], edge_index [2, num_edges], edge_weight [num_edges] -> [num_nodes, channels]"""
        total: Tensor = self.propagate(edge_index, x=x, edge_weight=edge_weight)
        return rest + weight * total


class Normalised:
    """Edges with self-loops and their coefficients (Kipf & Welling), kept while the same graph comes again.

    Kept as they were first made: in another type they are the same numbers, as those that GCNConv remembers are. A copy
    of the network knows the same graph.
    """

    def __init__(self) -> None:
        self.graph: Tensor | None = None
        self.known: tuple[Tensor, Tensor] | None = None

    def of(self, edge_index: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """([2, num_edges + num_nodes], coefficients) for rows x [num_nodes, channels], in their type.

        Senders that are no rows are left out: who takes a part of a graph gives its layers the whole's coefficients.
        """
        if self.graph is not edge_index or self.known is None:
            self.graph = edge_index
            within = edge_index[:, edge_index[0] < x.size(0)]
            self.known = gcn_norm(within, None, x.size(0), dtype=x.dtype)
        edges, weight = self.known
        if weight.dtype != x.dtype:
            self.known = edges, weight.to(x.dtype)
        return self.known

    def __deepcopy__(self, memo: dict[int, Any]) -> Normalised:
        """Tensors are shared: they are never changed, and the graph is known again by being the same one."""
        return copy(self)


class Propagation(nn.Module):
    """Dropout, linear, ReLU, dropout, linear; then steps. A graph's logits are the mean of its nodes'.

    `two_sums`: every step has a second sum, of what its first one has changed. `gathers`, as of a stack: products come
    first here, so it takes CSR rows.
    """

    gathers = False

    def __init__(
        self, num_features: int, num_classes: int, settings: PropagationSettings, two_sums: bool = False
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_features, settings.hidden)
        self.classes = nn.Linear(settings.hidden, num_classes)
        total = NeighbourSum()  # one for all: it remembers the order of the edges
        kinds = [False, True] if two_sums else [False]
        self.convs = nn.ModuleList(
            Propagate(num_classes, total, changes) for _ in range(settings.layers) for changes in kinds
        )
        self.depth = settings.layers
        self.dropout = settings.dropout
        self.normalised = Normalised()

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """x [num_nodes, num_features] dense or CSR, edge_index [2, num_edges], batch [num_nodes] (graph tasks).

        Returns logits [num_nodes, num_classes], or [num_graphs, num_classes] with a batch.
        """
        rows = self.hidden(drop(x, self.dropout, self.training))
        start = self.classes(drop(F.relu(rows), self.dropout, self.training))
        out = self.propagated(start, *self.normalised.of(edge_index, start))
        return out if batch is None else global_mean_pool(out, batch)

    def propagated(self, start: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """H^K [num_nodes, num_classes] from H^0."""
        rows, layers = start, iter(self.convs)
        for index in range(self.depth):
            step = self.step(index)
            rest = step.start * start + step.kept * rows if step.kept else step.start * start
            moved = next(layers)(rows, edge_index, edge_weight, rest, step.around)
            if step.change is None:
                rows = moved
                continue
            change = moved - rows
            rows = next(layers)(change, edge_index, edge_weight, moved, step.change)
            self.changed(index, change, edge_index, edge_weight)
        return rows

    @abstractmethod
    def step(self, index: int) -> Step:
        """Factors of a step (from 0)."""

    def changed(self, index: int, change: Tensor, edge_index: Tensor, edge_weight: Tensor) -> None:
        """Told what the first sum of a step has changed."""
