"""Batches: a node task is one batch with an index of scored nodes; a graph task is batches of whole graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch as PygBatch

from dqviz.data.task import Task


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes, and which of its rows are scored.

    x [num_nodes, num_features] dense or CSR; edge_index [2, num_edges]; batch [num_nodes] or None (node tasks);
    y [num_rows] classes of all rows; scored [k] rows that count (all graphs of a graph batch).
    """

    x: Tensor
    edge_index: Tensor
    batch: Tensor | None
    y: Tensor
    scored: Tensor

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


class Feed:
    """Batches of a task; those that do not change between epochs are made once."""

    def __init__(self, task: Task, batch_size: int) -> None:
        self.task = task
        self.batch_size = batch_size
        self._fixed: dict[str, list[Batch]] = {}

    def training(self) -> Iterator[Batch]:
        """One epoch of training batches; graphs are shuffled by torch's global generator."""
        if self.task.kind == "node":
            yield from self.split("train")
            return
        members = split_index(self.task, "train")
        order = members[torch.randperm(members.numel())]
        for chunk in torch.split(order, self.batch_size):
            yield collate(self.task, chunk.tolist())

    def split(self, split: str) -> list[Batch]:
        """Batches of a split in fixed order."""
        if split not in self._fixed:
            if self.task.kind == "node":
                self._fixed[split] = [whole_graph(self.task, split)]
            else:
                chunks = torch.split(split_index(self.task, split), self.batch_size)
                self._fixed[split] = [collate(self.task, chunk.tolist()) for chunk in chunks]
        return self._fixed[split]
