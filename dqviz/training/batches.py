"""Batches: a node task is one batch with an index of scored nodes, or parts of the graph; a graph task whole graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch as PygBatch

from dqviz.data.task import Task
from dqviz.quant.part import Divided, Part


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes, and which of its rows are scored.

    x [num_nodes, num_features] dense or CSR; edge_index [2, num_edges]; batch [num_nodes] or None (node tasks);
    y [num_rows] classes of all rows; scored [k] rows that count (all graphs of a graph batch). `part`: which nodes the
    rows are where they are not all of a node task's. `weight`: of the mean loss of the scored rows.
    """

    x: Tensor
    edge_index: Tensor
    batch: Tensor | None
    y: Tensor
    scored: Tensor
    part: Part | None = None
    weight: float = 1.0

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.x, self.edge_index) if self.batch is None else (self.x, self.edge_index, self.batch)


def split_index(task: Task, split: str) -> Tensor:
    """Indices of a split: nodes of the one graph, or graphs."""
    members = torch.as_tensor(task.splits[split])
    return members.nonzero().flatten() if members.dtype == torch.bool else members


def whole_graph(task: Task, split: str) -> Batch:
    """The one batch of a node task, scored on a split."""
    data = task.graphs[0]
    return Batch(data.x, data.edge_index, None, data.y, split_index(task, split))


def collate(task: Task, index: Sequence[int]) -> Batch:
    """Graphs `index` of a graph task as one batch."""
    merged = PygBatch.from_data_list([task.graphs[i] for i in index])
    return Batch(merged.x, merged.edge_index, merged.batch, merged.y.view(-1), torch.arange(len(index)))


def rows_of(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` [k] of dense or CSR x, as x is."""
    if x.layout != torch.sparse_csr:
        return x.index_select(0, index)
    crow = x.crow_indices()
    first, counts = crow[index], crow.diff()[index]
    ptr = F.pad(counts.cumsum(0), (1, 0))
    stored = torch.arange(int(ptr[-1])) + (first - ptr[:-1]).repeat_interleave(counts)
    return torch.sparse_csr_tensor(ptr, x.col_indices()[stored], x.values()[stored], (index.numel(), x.size(1)),
                                   check_invariants=False)  # fmt: skip


class Feed:
    """Batches of a task; those that do not change between epochs are made once.

    `batch_nodes`: a node task is trained on parts of so many nodes; 0: on the whole graph.
    """

    def __init__(self, task: Task, batch_size: int, batch_nodes: int = 0) -> None:
        self.task = task
        self.batch_size = batch_size
        self.batch_nodes = batch_nodes
        self._fixed: dict[str, list[Batch]] = {}
        self._divided: Divided | None = None

    def training(self) -> Iterator[Batch]:
        """One epoch of training batches; graphs and nodes are shuffled by torch's global generator."""
        if self.task.kind == "node":
            yield from self.parts() if self.in_parts else self.split("train")
            return
        members = split_index(self.task, "train")
        order = members[torch.randperm(members.numel())]
        for chunk in torch.split(order, self.batch_size):
            yield collate(self.task, chunk.tolist())

    @property
    def in_parts(self) -> bool:
        """Whether a node task is trained on parts of its graph."""
        return self.task.kind == "node" and 0 < self.batch_nodes < self.task.graphs[0].x.size(0)

    def pieces(self) -> Iterator[Batch]:
        """All nodes in their own order, all of them scored."""
        for nodes in torch.split(torch.arange(self.task.graphs[0].x.size(0)), self.batch_nodes):
            yield self.part(nodes, torch.arange(nodes.numel()), 1.0)

    def part(self, nodes: Tensor, scored: Tensor, weight: float) -> Batch:
        data = self.task.graphs[0]
        self._divided = self._divided or Divided(data.edge_index, data.x.size(0))
        part = self._divided.part(nodes)
        return Batch(rows_of(data.x, nodes), part.edge_index, None, data.y[nodes], scored, part, weight)

    def parts(self) -> Iterator[Batch]:
        """All nodes, each in one of parts of about equal size.

        Losses are weighted so that their mean over the parts is the mean over all training nodes: what a codeword
        remembers of one part's gradient is then in the unit of every other's.
        """
        trained_on = self.task.splits["train"]
        order = torch.randperm(trained_on.numel())
        chunks = order.tensor_split(-(-order.numel() // self.batch_nodes))
        per_part = int(trained_on.sum()) / len(chunks)
        for nodes in chunks:
            scored = trained_on[nodes].nonzero().flatten()
            yield self.part(nodes, scored, scored.numel() / per_part)

    def split(self, split: str) -> list[Batch]:
        """Batches of a split in fixed order."""
        if split not in self._fixed:
            if self.task.kind == "node":
                self._fixed[split] = [whole_graph(self.task, split)]
            else:
                chunks = torch.split(split_index(self.task, split), self.batch_size)
                self._fixed[split] = [collate(self.task, chunk.tolist()) for chunk in chunks]
        return self._fixed[split]
