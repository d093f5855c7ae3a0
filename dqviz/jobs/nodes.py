"""The table of nodes: degree, class, split, predictions, protection; and the neighbourhoods of the worst of them."""

from __future__ import annotations

from typing import Any

import networkx as nx
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

WORST = 20
NEIGHBOURS = 60


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


def neighbourhoods(nodes: pd.DataFrame, error: np.ndarray[Any, Any], edge_index: Tensor) -> dict[str, Any]:
    """{node: its one-hop neighbourhood, laid out} for the nodes with the largest `error` [num_nodes]; {} without error.

    Each holds nodes, edges (pairs of node ids), xy (-1..1), degree, error and flip of the nodes shown, the distance of
    each from the centre, and how many neighbours were left out.
    """
    if not np.nan_to_num(error).any():
        return {}
    worst = np.argsort(-np.nan_to_num(error, nan=-1.0), kind="stable")[:WORST]
    source, target = edge_index.numpy()
    flips = (nodes[Column.PREDICTION] != nodes[Column.PREDICTION_TWIN]).to_numpy()
    return {str(node): around(int(node), source, target, error, flips, nodes) for node in worst.tolist()}


def around(
    centre: int, source: np.ndarray[Any, Any], target: np.ndarray[Any, Any], error: np.ndarray[Any, Any],
    flips: np.ndarray[Any, Any], nodes: pd.DataFrame,
) -> dict[str, Any]:  # fmt: skip
    """The senders to `centre` (largest errors first, at most 60) and the edges among those shown."""
    senders = np.unique(source[(target == centre) & (source != centre)])
    shown = senders[np.argsort(-np.nan_to_num(error[senders]), kind="stable")][:NEIGHBOURS]
    ids = np.concatenate([[centre], shown])
    inside = np.isin(source, ids) & np.isin(target, ids) & (source != target)
    edges = np.stack([source[inside], target[inside]], axis=1)
    drawn = nx.Graph()
    drawn.add_nodes_from(ids.tolist())
    drawn.add_edges_from(edges.tolist())
    layout = nx.spring_layout(drawn, seed=0, iterations=30)
    degree, label = nodes[Column.DEGREE].to_numpy(), nodes[Column.LABEL].to_numpy()
    return {
        "nodes": ids.tolist(),
        "edges": edges.tolist(),
        "xy": {str(n): [round(float(v), 4) for v in layout[n]] for n in ids.tolist()},
        "degree": {str(n): int(degree[n]) for n in ids.tolist()},
        "error": {str(n): None if np.isnan(error[n]) else round(float(error[n]), 5) for n in ids.tolist()},
        "flip": {str(n): bool(flips[n]) for n in ids.tolist()},
        "label": {str(n): int(label[n]) for n in ids.tolist()},
        "left_out": int(senders.size - shown.size),
    }
