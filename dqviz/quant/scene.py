"""Scene: the graph that passes through a network, for methods that treat nodes by their degree or one by one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dqviz.quant.part import Part


class Scene:
    """Edges, in-degree and features of the graph of this forward pass; the guard shows it before each one.

    A node task's graph is shown before its sites are made as well, so that a site may have parameters for each node;
    before that, and in a graph task until the first pass, `num_nodes` is 0. `part` says which part of the graph is
    shown where it is not all of it.
    """

    def __init__(self) -> None:
        self.num_nodes = 0
        self.part: Part | None = None
        self.edge_index: Tensor | None = None
        self.batch: Tensor | None = None
        self._x: Callable[[], Tensor | None] = lambda: None
        self._in_degree: Tensor | None = None

    def show(self, num_nodes: int, edge_index: Tensor, batch: Tensor | None = None) -> None:
        """edge_index [2, num_edges]; batch [num_nodes] in a graph task. The same edges again cost nothing."""
        if self.edge_index is not edge_index or self.num_nodes != num_nodes:
            self.num_nodes, self.edge_index, self._in_degree = num_nodes, edge_index, None
        self.batch = batch

    @contextmanager
    def within(self, part: Part | None) -> Iterator[None]:
        """The forward passes in the body show this part of the graph; None: all of it."""
        self.part = part
        try:
            yield
        finally:
            self.part = None

    @property
    def x(self) -> Tensor | None:
        """The features that enter the network in this pass, dense or CSR."""
        return self._x()

    def enter(self, x: Tensor) -> None:
        """Held weakly: neither kept alive after the pass nor copied with the network (CSR cannot be)."""
        self._x = weakref.ref(x)

    @property
    def in_degree(self) -> Tensor:
        """[num_nodes]: incoming edges without self-loops; empty before a graph was shown."""
        if self._in_degree is None:
            edges = self.edge_index if self.edge_index is not None else torch.empty(2, 0, dtype=torch.long)
            self._in_degree = in_degree(edges, self.num_nodes)
        return self._in_degree


def in_degree(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Incoming edges of each node without self-loops [num_nodes] (METHODS section 8)."""
    source, target = edge_index
    return torch.bincount(target[source != target], minlength=num_nodes)
