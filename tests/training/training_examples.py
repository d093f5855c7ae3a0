"""Tiny tasks and networks for the tests of the training loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from dqviz import data, methods
from dqviz import nn as archs
from dqviz.data.task import Task
from dqviz.methods import Method
from dqviz.quant import quantize
from dqviz.spec import Optimizer
from dqviz.training import Trained, train


class Untouchable:
    """A test split that tells when somebody looks at it."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the test split was read ({name})")


def node_task(blind: bool = False) -> Task:
    """Karate club, without a test split to read where `blind`."""
    task = data.load("karate", {})
    splits: dict[str, Any] = {**task.splits, "test": Untouchable()} if blind else task.splits
    return replace(task, splits=splits)


def graph_task(blind: bool = False) -> Task:
    """24 rings and stars of 5 to 8 nodes; the class is the shape."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for index in range(24):
        size = 5 + index % 4
        ring = [(i, (i + 1) % size) for i in range(size)]
        star = [(i, 0) for i in range(1, size)]
        edge_index = torch.tensor(ring if index % 2 else star).t().contiguous()
        x = torch.rand(size, 4, generator=generator)
        graphs.append(Data(x=x, edge_index=edge_index, y=torch.tensor([index % 2])))
    splits: dict[str, Tensor] = {"train": torch.arange(12), "val": torch.arange(12, 18), "test": torch.arange(18, 24)}
    if blind:
        splits["test"] = Untouchable()  # type: ignore[assignment]
    return Task("shapes", "graph", graphs, 4, 2, splits)


def network(
    task: Task, arch: str = "gcn", method: str = "dq", bits: Any = 4, **settings: Any
) -> tuple[nn.Module, Method]:
    chosen = methods.make(method, {})
    torch.manual_seed(0)
    model = archs.make(arch, task.num_features, task.num_classes, task.kind, {"hidden": 8, **settings})
    return quantize(model, chosen, bits), chosen


def run(
    task: Task, arch: str = "gcn", method: str = "dq", epochs: int = 6, lr: float = 0.01, **more: Any
) -> tuple[nn.Module, Trained]:
    """A whole training from the first weight on."""
    model, chosen = network(task, arch, method)
    optimizer = Optimizer(lr=lr, batch_size=5)
    return model, train(model, task, chosen, optimizer, epochs, **more)


def history(trained: Trained) -> list[dict[str, Any]]:
    """Rows of an epoch without its time."""
    return [{key: value for key, value in row.items() if key != "epoch_ms"} for row in trained.history]


def same_state(first: nn.Module, second: nn.Module) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
