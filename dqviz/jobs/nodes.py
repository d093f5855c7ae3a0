"""The tables of nodes (degree, class, split, predictions, protection) and of the edges between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dqviz.columns import Column
from dqviz.data.task import Task
from dqviz.methods import Method
from dqviz.quant.guard import Guard
from dqviz.quant.scene import in_degree
from dqviz.training.batches import Batch


def split_names(task: Task, num_rows: int) -> np.ndarray[Any, Any]:
    """Name of the split of each node of a node task ('none' outside all)."""
    names = np.full(num_rows, "none", dtype=object)
    for name, mask in task.splits.items():
        names[mask.numpy()] = name
    return names


def node_table(
    task: Task, batch: Batch, method: Method, guard: Guard, classes: dict[str, Tensor | None]
) -> pd.DataFrame:
    """TABLES['nodes'] without error columns. In a graph task a node carries its graph's class and predictions.

    `classes`: column name -> predicted class of each row of the logits, or None (no integer run).
    """
    num_nodes = batch.x.size(0)
    degree = in_degree(batch.edge_index, num_nodes)
    row = torch.arange(num_nodes) if batch.batch is None else batch.batch
    protection = method.protection()
    p = None if protection is None else protection.probability(degree, batch.batch)
    frequency = guard.frequency() if task.kind == "node" else None
    split = split_names(task, num_nodes) if task.kind == "node" else np.full(num_nodes, "test", dtype=object)
    table = {
        Column.NODE: np.arange(num_nodes),
        Column.GRAPH: np.zeros(num_nodes, dtype=np.int64) if batch.batch is None else batch.batch.numpy(),
        Column.DEGREE: degree.numpy(),
        Column.LABEL: batch.y[row].numpy(),
        Column.SPLIT: split,
        **{name: None if found is None else found[row].numpy() for name, found in classes.items()},
        Column.PROTECTION: np.zeros(num_nodes) if p is None else p.numpy(),
        Column.PROTECTED_FREQUENCY: np.nan if frequency is None else frequency.numpy(),
    }
    frame = pd.DataFrame({str(name): values for name, values in table.items()}, index=range(num_nodes))
    frame[str(Column.PREDICTION_INTEGER)] = frame[str(Column.PREDICTION_INTEGER)].astype("Int64")
    return frame


def edge_table(edge_index: Tensor) -> pd.DataFrame:
    """TABLES['edges'] of edge_index [2, num_edges] without self-loops, by target: what a node hears from is one run."""
    source, target = edge_index.numpy().astype(np.int32)
    order = np.lexsort((source, target))
    order = order[source[order] != target[order]]
    return pd.DataFrame({str(Column.SOURCE): source[order], str(Column.TARGET): target[order]})
