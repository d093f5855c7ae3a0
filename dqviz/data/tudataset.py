"""Graph classification sets of the TU Dortmund collection (Morris et al. 2020): REDDIT-BINARY, PROTEINS, MUTAG."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch_geometric.data import Data
from torch_geometric.datasets import TUDataset

from dqviz.data.arrays import Array, Arrays, distinct, remembered, write_whole
from dqviz.data.fetch import LARGEST_BYTES, raw_folder, read_url
from dqviz.data.splits import KEEP, chosen, folds
from dqviz.data.task import Task, graph_task
from dqviz.data.whole import whole
from dqviz.registry import Settings

NodeFeatures = Literal["given", "degree", "degree-one-hot", "constant"]


class GraphsSettings(Settings):
    fold: int = Field(default=KEEP, ge=KEEP, le=9, description="Fold of 10 that is tested; -1 takes run seed mod 10.")
    node_features: NodeFeatures = Field(
        default="given",
        description="Node labels as one-hot where the set has them, else the normalised degree; or one of the others.",
    )
    degree_cap: int = Field(default=64, ge=1, le=1_000, description="Largest degree told apart by degree-one-hot.")


def graphs(name: str, prefix: str, parts: tuple[str, ...]) -> Callable[[GraphsSettings, int], Task]:
    """Loader of one set whose raw folder holds `prefix`_A, _graph_indicator, _graph_labels and `parts`.

    Split: fold of a stratified 10-fold cross-validation (see `splits.folds`).
    """

    def load(settings: GraphsSettings, seed: int) -> Task:
        files = [f"{prefix}_{part}.txt" for part in ("A", "graph_indicator", "graph_labels", *parts)]
        raw = raw_folder(name, prefix, files, lambda to: download(prefix, files, to))
        arrays = remembered(name, [raw / file for file in files], lambda: whole(name, raw, lambda: read(raw, prefix)))
        splits = folds(arrays["y"], chosen(settings.fold, seed))
        return graph_task(name, cut(arrays, node_features(arrays, settings)), arrays["y"], splits)

    return load


def download(prefix: str, files: list[str], to: Path) -> None:
    """Only the files named are taken out of the archive, by their base name."""
    content = io.BytesIO(read_url(f"{TUDataset.url}/{prefix}.zip"))
    try:
        with zipfile.ZipFile(content) as archive:
            for file in files:
                with archive.open(f"{prefix}/{file}") as member:
                    write_whole(to / file, member.read(LARGEST_BYTES))
    except (zipfile.BadZipFile, KeyError) as error:
        raise OSError(f"the archive {prefix}.zip is not what was expected: {error}") from error


def read(raw: Path, prefix: str) -> Arrays:
    """All graphs in one: 'edge_index' with ids local to each graph, 'edge_ptr' and 'node_ptr' [num_graphs + 1], 'y',
    and 'node_label' [num_nodes] where the set has it. Self-loops and duplicate edges are dropped, as PyG does. Raises
    ValueError where the files do not fit together.
    """
    ends = table(raw / f"{prefix}_A.txt").T - 1
    graph = table(raw / f"{prefix}_graph_indicator.txt")[:, 0] - 1
    labels = table(raw / f"{prefix}_graph_labels.txt")[:, 0]
    require(graph.size and graph[0] >= 0 and graph[-1] < len(labels) and (np.diff(graph) >= 0).all(), "graph_indicator")
    require(ends.size and ends.min() >= 0 and ends.max() < len(graph) and (graph[ends[0]] == graph[ends[1]]).all(), "A")
    node_ptr = np.concatenate([[0], np.cumsum(np.bincount(graph, minlength=len(labels)))])
    source, target = ends[:, ends[0] != ends[1]]
    key = distinct(source * len(graph) + target)
    source, target = key // len(graph), key % len(graph)
    arrays = {
        "edge_index": np.stack([source, target]) - node_ptr[graph[source]],
        "edge_ptr": np.concatenate([[0], np.cumsum(np.bincount(graph[source], minlength=len(labels)))]),
        "node_ptr": node_ptr,
        "y": np.unique(labels, return_inverse=True)[1].reshape(-1),
    }
    path = raw / f"{prefix}_node_labels.txt"
    if path.exists():
        node_label = table(path)[:, 0]
        require(len(node_label) == len(graph), "node_labels")
        arrays["node_label"] = node_label - node_label.min()
    return arrays


def require(fits: object, part: str) -> None:
    if not fits:
        raise ValueError(f"file {part} does not fit the others")


def table(path: Path) -> Array:
    """Whole numbers separated by commas [rows, columns]; pandas reads 2 million lines in 0.3 s, PyG in 6 s."""
    frame = pd.read_csv(path, header=None, dtype=np.int64, skipinitialspace=True)
    return np.asarray(frame.to_numpy(dtype=np.int64))


def node_features(arrays: Arrays, settings: GraphsSettings) -> Array:
    """x [num_nodes, num_features] float32.

    The normalised degree, (degree - mean) / std over all nodes, is what Degree-Quant's authors use on REDDIT-BINARY,
    after the PyG kernel benchmark: a one-hot of 3,062 degrees would not be usable.
    """
    wanted = settings.node_features
    count = int(arrays["node_ptr"][-1])
    if wanted == "given" and "node_label" in arrays:
        label = arrays["node_label"]
        return np.eye(int(label.max()) + 1, dtype=np.float32)[label]
    if wanted == "constant":
        return np.ones((count, 1), dtype=np.float32)
    start = np.repeat(arrays["node_ptr"][:-1], np.diff(arrays["edge_ptr"]))
    degree = np.bincount(arrays["edge_index"][1] + start, minlength=count)
    if wanted == "degree-one-hot":
        return np.eye(settings.degree_cap + 1, dtype=np.float32)[np.minimum(degree, settings.degree_cap)]
    normalised: Array = (degree - degree.mean()) / degree.std(ddof=1)
    return normalised.astype(np.float32)[:, None]


def cut(arrays: Arrays, x: Array) -> list[Data]:
    """One Data a graph, views of the common arrays."""
    nodes, edges = arrays["node_ptr"].tolist(), arrays["edge_ptr"].tolist()
    all_x, all_edges, y = (torch.from_numpy(a) for a in (x, arrays["edge_index"], arrays["y"]))
    return [
        Data(x=all_x[nodes[i] : nodes[i + 1]], edge_index=all_edges[:, edges[i] : edges[i + 1]], y=y[i : i + 1])
        for i in range(len(y))
    ]
