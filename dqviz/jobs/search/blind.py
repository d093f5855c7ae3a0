"""A task without its test split: all that search code is ever given."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NoReturn

import torch
from torch import Tensor
from torch_geometric.data import Data

from dqviz.data.task import Task
from dqviz.errors import DqvizError
from dqviz.jobs.network import load_task
from dqviz.spec import RunSpec

VISIBLE = ("train", "val")
UNKNOWN = -1
"""Class of every node that is neither trained on nor validated with."""


class Splits(dict[str, Tensor]):
    """Training and validation; whoever asks for another split is told why there is none."""

    def __missing__(self, split: str) -> NoReturn:
        raise DqvizError(f"The {split} split cannot be read while settings are searched.")


def blind_task(spec: RunSpec) -> Task:
    """The spec's data set without test labels; a node task keeps the test nodes' features and edges.

    One copy in memory for all trials: only data set and seed decide what is loaded.
    """
    about = spec.model_dump(include={"dataset", "dataset_settings", "seed"})
    return _blind(RunSpec(**about, arch="gcn", method="fp32").model_dump_json())


@lru_cache(maxsize=4)
def _blind(spec: str) -> Task:
    return blind(load_task(RunSpec.model_validate_json(spec)))


def blind(task: Task) -> Task:
    """`task` with a test split that nothing is left of: no mask, no labels, and of a graph task no graphs."""
    return _blind_nodes(task) if task.kind == "node" else _blind_graphs(task)


def _blind_nodes(task: Task) -> Task:
    splits = Splits({split: task.splits[split] for split in VISIBLE})
    data = task.graphs[0]
    seen = torch.stack(list(splits.values())).any(dim=0)
    y = torch.where(seen, data.y, torch.full_like(data.y, UNKNOWN))
    return replace(task, graphs=[Data(x=data.x, edge_index=data.edge_index, y=y)], splits=splits)


def _blind_graphs(task: Task) -> Task:
    graphs: list[Data] = []
    splits = Splits()
    for split in VISIBLE:
        members = task.splits[split].tolist()
        splits[split] = torch.arange(len(graphs), len(graphs) + len(members))
        graphs += [task.graphs[index] for index in members]
    return replace(task, graphs=graphs, splits=splits)
