"""A degree-corrected stochastic block model: hubs as heavy as wanted, at any size, in seconds.

Edges are drawn as in the model of Karrer & Newman (2011) given their number: both ends follow the nodes' propensities,
and the classes of the ends follow the mixing matrix (here `homophily` within a class, even between the others).
Propensities are Pareto distributed, so degrees have a power-law tail with the exponent asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from pydantic import Field

from dqviz.data.arrays import SPARSE_BELOW, Array, Arrays, clean_edges, distinct
from dqviz.data.splits import KEEP, chosen, planetoid_like
from dqviz.data.task import Task, node_task
from dqviz.registry import Settings

DRAWS = 8
"""Rounds of drawing: hubs meet twice, so a round loses some pairs; after 8 what is missing is below 1 %."""

SIGNAL = 0.4
"""Share of a node's words that come from its class; the others come from all words alike."""


class SbmSettings(Settings):
    nodes: int = Field(default=2_000, ge=50, le=2_000_000, description="Number of nodes.")
    classes: int = Field(default=5, ge=2, le=50, description="Number of classes (blocks).")
    mean_degree: float = Field(default=8.0, gt=0, le=200, description="Mean in-degree.")
    exponent: float = Field(default=2.3, gt=1.5, le=10, description="Power-law exponent of degrees; lower is heavier.")
    homophily: float = Field(default=0.7, ge=0, le=1, description="Share of edges within a class.")
    features: int = Field(default=256, ge=2, le=20_000, description="Number of words (features).")
    words: int = Field(default=10, ge=1, le=500, description="Words of each node: non-zero features at most.")
    graph_seed: int = Field(default=0, ge=0, description="Seed of the graph; the run's seed does not change it.")
    split_seed: int = Field(default=0, ge=KEEP, description="Seed of the split; -1 draws one for each run seed.")


def dc_sbm(settings: SbmSettings, seed: int) -> Task:
    """Node classification; undirected. Split: 20 a class train, 500 val (at most half of the rest), rest test."""
    rng = np.random.default_rng(settings.graph_seed)
    y = rng.permutation(np.arange(settings.nodes) % settings.classes)
    arrays = {"y": y, "edge_index": edges(settings, y, rng)} | bag_of_words(settings, y, rng)
    masks = planetoid_like(y, chosen(settings.split_seed, seed))
    return node_task("dc-sbm", arrays, masks, row_normalize=True)


def propensities(settings: SbmSettings, rng: Generator) -> Array:
    """Expected share of each node among its peers [num_nodes]: Pareto, cut where one node would touch all others."""
    weight = (1 - rng.random(settings.nodes)) ** (-1 / (settings.exponent - 1))
    # A node cannot have more neighbours than there are nodes: cap the expected degree at a quarter of them.
    most = weight.mean() * settings.nodes / settings.mean_degree / 4
    return np.minimum(weight, max(most, 1.0))


def edges(settings: SbmSettings, y: Array, rng: Generator) -> Array:
    """Both directions of nodes * mean_degree / 2 different pairs [2, num_edges]."""
    weight = propensities(settings, rng)
    order = np.argsort(y, kind="stable")
    cumulated = np.concatenate([[0.0], np.cumsum(weight[order])])
    first = np.searchsorted(y[order], np.arange(settings.classes + 1))
    wanted = int(settings.nodes * settings.mean_degree / 2)
    pairs = np.empty(0, dtype=np.int64)
    for _ in range(DRAWS):
        missing = wanted - len(pairs)
        if missing <= 0:
            break
        source_class, target_class = mix(settings, cumulated[first], missing, rng)
        a, b = (order[pick(cumulated, first, c, rng)] for c in (source_class, target_class))
        drawn = np.minimum(a, b) * settings.nodes + np.maximum(a, b)
        pairs = distinct(np.concatenate([pairs, drawn[a != b]]))
    low, high = pairs // settings.nodes, pairs % settings.nodes
    return clean_edges(np.stack([np.concatenate([low, high]), np.concatenate([high, low])]), settings.nodes)


def mix(settings: SbmSettings, bounds: Array, count: int, rng: Generator) -> tuple[Array, Array]:
    """Classes of both ends of `count` edges: the source by total propensity, the target the same or any other."""
    source = np.searchsorted(bounds[1:-1], rng.random(count) * bounds[-1], side="right")
    other = (source + rng.integers(1, settings.classes, count)) % settings.classes
    return source, np.where(rng.random(count) < settings.homophily, source, other)


def pick(cumulated: Array, first: Array, classes: Array, rng: Generator) -> Array:
    """One position a class wanted, by propensity within the class (inverse of the cumulated sum)."""
    low, high = cumulated[first[classes]], cumulated[first[classes + 1]]
    at = np.searchsorted(cumulated, low + rng.random(len(classes)) * (high - low), side="right") - 1
    inside: Array = np.clip(at, first[classes], first[classes + 1] - 1)
    return inside


def bag_of_words(settings: SbmSettings, y: Array, rng: Generator) -> Arrays:
    """Packed features: each node holds up to `words` different words, a share SIGNAL of them from its class's block."""
    count, width = settings.nodes, settings.features
    share = rng.random((count, settings.words))
    start = y * width // settings.classes
    size = np.maximum((y + 1) * width // settings.classes - start, 1)
    own = start[:, None] + (rng.random(share.shape) * size[:, None]).astype(np.int64)
    word = np.where(share < SIGNAL, np.minimum(own, width - 1), rng.integers(0, width, share.shape))
    key = distinct(np.arange(count)[:, None] * width + word)
    row, col = key // width, key % width
    if len(key) >= SPARSE_BELOW * count * width:
        x = np.zeros((count, width), dtype=np.float32)
        x[row, col] = 1
        return {"x": x}
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))])
    return {"x_ptr": ptr, "x_col": col, "x_val": np.ones(len(key), np.float32), "x_shape": np.array([count, width])}
