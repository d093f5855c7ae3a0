"""What a float32 composition is made of: timed parts, and the place of a layer that makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dqviz.bench.bytes import bytes_of_spmm
from dqviz.bench.peers import ENGINES, Product
from dqviz.integer.csr import from_edges, order_by_row
from dqviz.integer.graph import features_of

REAL = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Step:
    """One timed part: `run` takes the output of the step before. `moved`: bytes it asks memory for, where known."""

    name: str
    run: Callable[[Any], Any]
    moved: int | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """One layer where it stands: its name, the kernels, the graph, and what follows it (`end`, may work in place).

    `sparse`: the features of the first layer where they are CSR; None where rows are dense.
    """

    name: str
    engine: str
    edge_index: Tensor
    num_nodes: int
    sparse: Tensor | None
    end: Callable[[Tensor], Tensor]

    def aggregate(self, edge_index: Tensor, weight: Tensor, channels: int) -> tuple[Product, int]:
        """(product with the matrix of these entries, bytes it asks for)."""
        source, target = edge_index.numpy()
        order, _ = order_by_row(target, self.num_nodes)
        matrix = from_edges(source, target, self.num_nodes)
        moved = bytes_of_spmm(matrix, REAL * channels, REAL, REAL * channels)
        return ENGINES[self.engine](matrix, weight[torch.from_numpy(order)]), moved

    def linear(self, weight: Tensor, bias: Tensor | None = None) -> Callable[[Any], Tensor]:
        """x W^T (+ bias) for the rows that come in."""
        if self.sparse is None:
            return lambda x: F.linear(x, weight, bias)
        rows: Any = features_of(self.sparse)
        multiply = ENGINES[self.engine](rows.pattern, torch.from_numpy(rows.values))
        turned = weight.detach().t().contiguous()
        return (lambda _: multiply(turned)) if bias is None else lambda _: multiply(turned).add_(bias)

    def product_first(self, in_channels: int, out_channels: int) -> bool:
        return self.sparse is not None or out_channels < in_channels
