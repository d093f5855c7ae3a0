"""scikit-learn's digits (1,797 images of 8 x 8): a k-nearest-neighbour graph, and one grid graph an image."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from pydantic import Field
from torch_geometric.data import Data

from dqviz.data.arrays import Array, pack_features
from dqviz.data.splits import KEEP, chosen, planetoid_like
from dqviz.data.task import Task, graph_task, node_task
from dqviz.registry import Settings

SIDE = 8
BRIGHTEST = 16  # pixel values of the data set are counts 0..16


class KnnSettings(Settings):
    k: int = Field(default=8, ge=1, le=100, description="Neighbours each image points to.")
    train_per_class: int = Field(default=20, ge=1, le=100, description="Training images of each class.")
    split_seed: int = Field(default=0, ge=KEEP, description="Seed of the split; -1 draws one for each run seed.")


class GridSettings(Settings):
    diagonals: bool = Field(default=True, description="Connect diagonal neighbours too (in-degree 3, 5, 8).")
    split_seed: int = Field(default=0, ge=KEEP, description="Seed of the split; -1 draws one for each run seed.")


def images() -> tuple[Array, Array]:
    """Pixels [1797, 64] float32 in 0..1 and labels [1797], the caller's own."""
    pixels, labels = unpacked()
    return (pixels / BRIGHTEST).astype(np.float32), labels.astype(np.int64)


@cache
def unpacked() -> tuple[Array, Array]:
    """As scikit-learn gives them; it unpacks a text file each time, 0.2 s."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels


def digits_knn(settings: KnnSettings, seed: int) -> Task:
    """Node classification: image i points to its k nearest others, so in-degree is how often an image is chosen.

    Hubs (images near many others) get several times k, some images get nothing: the skew that Degree-Quant is about.
    Split: 20 a class train, 500 val, the rest test.
    """
    x, y = images()
    masks = planetoid_like(y, chosen(settings.split_seed, seed), train=settings.train_per_class)
    arrays = pack_features(x) | {"y": y, "edge_index": nearest(x, settings.k)}
    return node_task("digits-knn", arrays, masks)


def nearest(x: Array, k: int) -> Array:
    """Edges [2, num_nodes * k] from each row of x to its k nearest rows (Euclidean; ties to the smaller index)."""
    # Pixels are multiples of 1/16, so 256 times a squared distance is a whole number: exact, ties and all. The index
    # is added as the last digits, so that every key differs and a partial sort has one result.
    whole = np.rint(x.astype(np.float64) * BRIGHTEST)
    square = (whole**2).sum(axis=1)
    distance = np.rint(square[:, None] + square - 2 * whole @ whole.T).astype(np.int64)
    np.fill_diagonal(distance, distance.max() + 1)
    key = distance * len(x) + np.arange(len(x))
    target = np.sort(np.partition(key, k - 1, axis=1)[:, :k], axis=1) % len(x)
    return np.stack([np.repeat(np.arange(len(x)), k), target.reshape(-1)])


def digits_grid(settings: GridSettings, seed: int) -> Task:
    """Graph classification: each image is an 8 x 8 grid; x = (intensity, row, column), all in 0..1.

    Split: of each class three fifths train, one fifth val, one fifth test.
    """
    pixels, y = images()
    steps = np.arange(SIDE * SIDE)
    place = np.stack([steps // SIDE, steps % SIDE], axis=1).astype(np.float32) / (SIDE - 1)
    edges = torch.from_numpy(grid_edges(settings.diagonals))
    graphs = [
        Data(
            x=torch.from_numpy(np.concatenate([image[:, None], place], axis=1)),
            edge_index=edges,
            y=torch.tensor([int(label)]),
        )
        for image, label in zip(pixels, y, strict=True)
    ]
    return graph_task("digits-grid", graphs, y, shares(y, chosen(settings.split_seed, seed)))


def grid_edges(diagonals: bool) -> Array:
    """Edges [2, num_edges] in both directions between neighbours of the grid."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    down, right = np.abs(row[:, None] - row), np.abs(column[:, None] - column)
    near = np.maximum(down, right) == 1 if diagonals else down + right == 1
    return np.stack(np.nonzero(near))


def shares(y: Array, seed: int) -> dict[str, Array]:
    """Positions: 60 % of the smallest class's size from each class to train, 20 % to val, the rest to test."""
    smallest = int(np.bincount(y).min())
    size = {"train": smallest * 3 // 5, "val": smallest // 5}
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Array]] = {"train": [], "val": [], "test": []}
    for label in np.unique(y):
        order = rng.permutation(np.flatnonzero(y == label))
        parts["train"].append(order[: size["train"]])
        parts["val"].append(order[size["train"] : size["train"] + size["val"]])
        parts["test"].append(order[size["train"] + size["val"] :])
    return {part: np.sort(np.concatenate(chunks)) for part, chunks in parts.items()}
