"""Stack: message-passing layers, activation and dropout between them; for graph tasks a pool and a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, global_mean_pool

from dqviz.registry import Registry, Settings

Kind = Literal["node", "graph"]
MakeConv = Callable[[int, int, bool], MessagePassing]


class StackSettings(Settings):
    """Width, depth and dropout of a stack."""

    layers: int = Field(default=2, ge=1, le=64, description="Message-passing layers.")
    hidden: int = Field(default=16, ge=1, le=4096, description="Hidden channels.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Dropout before each layer and the classifier.")


class Stack(nn.Module):
    """Layers on nodes; `head` (graph tasks) classifies the mean of a graph's nodes.

    `gathers` says that the first layer sums rows before any product, so it needs dense rows, unless it was told how to
    sum CSR rows (`takes_csr` of the layer); the others take CSR.
    """

    def __init__(
        self,
        convs: Sequence[MessagePassing],
        activation: Callable[[Tensor], Tensor],
        dropout: float,
        head: nn.Module | None = None,
        gathers: bool = False,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.activation = activation
        self.dropout = dropout
        self.head = head
        self.gathers = gathers

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """x [num_nodes, num_features] dense or CSR, edge_index [2, num_edges], batch [num_nodes] (graph tasks).

        Returns logits [num_nodes, num_classes], or [num_graphs, num_classes] with a head.
        """
        last = len(self.convs) - 1
        for index, conv in enumerate(self.convs):
            x = drop(x, self.dropout, self.training)
            if self.gathers and x.layout == torch.sparse_csr and not getattr(conv, "takes_csr", False):
                x = x.to_dense()
            x = conv(x, edge_index)
            if index < last or self.head is not None:
                x = self.activation(x)
        if self.head is None:
            return x
        pooled = global_mean_pool(x, batch)
        return self.head(drop(pooled, self.dropout, self.training))  # type: ignore[no-any-return]


def drop(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout for dense or CSR rows; of CSR rows only stored values are drawn (a zero dropped is a zero)."""
    if not training or p == 0:
        return x
    if x.layout == torch.sparse_csr:
        values = drop(x.values(), p, training)
        return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
    # A uniform draw and a comparison take a quarter of the time of torch's bernoulli_ on CPU.
    keep = torch.rand_like(x).ge_(p).mul_(1 / (1 - p))
    return x * keep


def build(
    make_conv: MakeConv,
    widths: Sequence[int],
    num_classes: int,
    kind: Kind,
    activation: Callable[[Tensor], Tensor],
    dropout: float,
    gathers: bool = False,
    deep_head: bool = False,
) -> Stack:
    """A stack whose layer i maps widths[i] to widths[i + 1]; `make_conv(in, out, last)` makes one layer.

    `deep_head`: the classifier of a graph task has a hidden layer, and all of the dropout.
    """
    last = len(widths) - 2
    convs = [make_conv(a, b, i == last) for i, (a, b) in enumerate(pairwise(widths))]
    head = classifier(widths[-1], num_classes, dropout if deep_head else None) if kind == "graph" else None
    return Stack(convs, activation, 0.0 if deep_head else dropout, head, gathers)


def classifier(channels: int, num_classes: int, dropout: float | None) -> nn.Module:
    """One product of a graph's mean row; with `dropout` a hidden layer before it and dropout in between."""
    last = nn.Linear(channels, num_classes)
    if dropout is None:
        return last
    return nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout), last)


def widths_of(num_features: int, hidden: int, layers: int, num_classes: int, kind: Kind) -> list[int]:
    """Channels between layers: a node task ends in its classes, a graph task in the hidden width."""
    return [num_features, *[hidden] * (layers - 1), num_classes if kind == "node" else hidden]


ARCHS: Registry[Stack] = Registry("architecture")


def make(
    name: str, num_features: int, num_classes: int, kind: Kind, settings: Mapping[str, Any] | None = None
) -> Stack:
    """The architecture of that name. Raises BadInput for an unknown name or setting."""
    return ARCHS[name].make(num_features, num_classes, kind, ARCHS.settings(name, dict(settings or {})))
