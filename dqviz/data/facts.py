"""Facts of a task as JSON: counts, degree table, and the layout of a sample that pages can draw without torch."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Data

from dqviz.data.task import Task, in_degree

SAMPLE_NODES = 150
SAMPLE_BRANCH = 12
"""Neighbours followed from one node: a hub of 168 would otherwise fill the sample with its own star."""


def facts(task: Task) -> dict[str, Any]:
    """JSON of a task: the fields of `Facts`, name, kind, metric, notes, density, mean_in_degree, self_loops, and

    splits: size of each; degree_table: {in-degree (text): number of nodes} over all graphs; ecdf, inclusive:
    {'degree': [...], 'share': [...]}; sample: {'graph', 'node', 'xy' (in -1..1), 'edges' (pairs of positions in 'node',
    source first), 'degree' (in the whole graph)}. Equal for equal tasks.
    """
    degree = torch.cat([in_degree(graph) for graph in task.graphs]).numpy()
    values, counts = np.unique(degree, return_counts=True)
    loops = sum(int((graph.edge_index[0] == graph.edge_index[1]).sum()) for graph in task.graphs)
    return {
        "name": task.name,
        "kind": task.kind,
        "metric": task.metric,
        "notes": list(task.notes),
        **asdict(task.facts),
        "self_loops": loops,
        "mean_in_degree": float(degree.mean()),
        "density": density(task),
        "splits": {part: int(s.sum()) if s.dtype == torch.bool else len(s) for part, s in task.splits.items()},
        "degree_table": {str(d): int(c) for d, c in zip(values, counts, strict=True)},
        "ecdf": {"degree": values.tolist(), "share": (np.cumsum(counts) / counts.sum()).tolist()},
        "sample": sample(task),
    }


def density(task: Task) -> float:
    """Share of non-zero features."""
    nonzero = sum(int(torch.count_nonzero(stored(graph.x))) for graph in task.graphs)
    return nonzero / (task.facts.nodes * task.num_features)


def stored(x: torch.Tensor) -> torch.Tensor:
    return x.values() if x.layout == torch.sparse_csr else x


def sample(task: Task) -> dict[str, Any]:
    """A connected piece of at most 150 nodes around the largest hub, laid out with a seeded spring model."""
    which = sample_graph(task)
    graph = task.graphs[which]
    degree = in_degree(graph).numpy()
    nodes = around_hub(graph, int(degree.argmax()))
    position = {node: i for i, node in enumerate(nodes)}
    source, target = graph.edge_index.numpy()
    inside = np.isin(source, nodes) & np.isin(target, nodes) & (source != target)
    edges = [[position[s], position[t]] for s, t in zip(source[inside].tolist(), target[inside].tolist(), strict=True)]
    drawn = nx.Graph()
    drawn.add_nodes_from(range(len(nodes)))
    drawn.add_edges_from(edges)
    layout = nx.spring_layout(drawn, seed=0)
    xy = [[round(float(value), 4) for value in layout[i]] for i in range(len(nodes))]
    return {"graph": which, "node": nodes, "xy": xy, "edges": edges, "degree": degree[nodes].tolist()}


def sample_graph(task: Task) -> int:
    """Position of the graph to draw: among those that fit whole, the one with the largest hub; else the smallest."""
    sizes = [int(graph.num_nodes or 0) for graph in task.graphs]
    fitting = [i for i, size in enumerate(sizes) if size <= SAMPLE_NODES]
    if not fitting:
        return sizes.index(min(sizes))
    return max(fitting, key=lambda i: (int(in_degree(task.graphs[i]).max()), -i))


def around_hub(graph: Data, hub: int) -> list[int]:
    """Nodes reached from `hub` breadth first along edges of either direction, a seeded few at each step, sorted."""
    source, target = graph.edge_index.numpy()
    ends = np.concatenate([source, target])
    order = np.argsort(ends, kind="stable")
    other = np.concatenate([target, source])[order]
    start = np.searchsorted(ends[order], np.arange(int(graph.num_nodes or 0) + 1))
    rng = np.random.default_rng(0)
    branch = SAMPLE_NODES if int(graph.num_nodes or 0) <= SAMPLE_NODES else SAMPLE_BRANCH
    found, queue = {hub}, deque([hub])
    while queue and len(found) < SAMPLE_NODES:
        node = queue.popleft()
        near = np.unique(other[start[node] : start[node + 1]])
        for neighbour in rng.permutation(near)[:branch].tolist():
            if neighbour not in found and len(found) < SAMPLE_NODES:
                found.add(neighbour)
                queue.append(neighbour)
    return sorted(found)
