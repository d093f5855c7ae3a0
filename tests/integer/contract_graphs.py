"""Graphs on which every kernel backend must equal the reference, and strategies over them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dqviz.integer.codes import Grid
from dqviz.integer.csr import Csr, from_edges
from dqviz.integer.epilogue import Requantize


def graph(source: list[int], target: list[int], num_nodes: int, weights: np.ndarray | None = None) -> Csr:
    return from_edges(np.array(source, np.int64), np.array(target, np.int64), num_nodes, weights)


def hub(num_nodes: int = 301) -> Csr:
    """All edges enter node 5."""
    others = [v for v in range(num_nodes) if v != 5]
    weights = np.resize(np.array([127, -128, 1, -1, 77], np.int8), len(others))
    return graph(others, [5] * len(others), num_nodes, weights)


def heavy_tail(num_nodes: int = 203, num_edges: int = 1999, seed: int = 0) -> Csr:
    """Some rows hold most entries, many hold none."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, num_nodes + 1)
    target = rng.choice(num_nodes, num_edges, p=share / share.sum())
    source = rng.integers(0, num_nodes, num_edges)
    return from_edges(source, target, num_nodes, rng.integers(-255, 256, num_edges).astype(np.int16))


GRAPHS: dict[str, Csr] = {
    "one node": graph([], [], 1),
    "one node, self-loop": graph([0], [0], 1, np.array([-128], np.int8)),
    "no edges": graph([], [], 9, np.zeros(0, np.int8)),
    "empty rows": graph([0, 3, 3], [7, 7, 2], 9, np.array([5, -7, 127], np.int8)),
    "hub": hub(),
    "hub, unweighted": Csr(hub().indptr, hub().indices, None, 301),
    "hub last": graph([0] * 50, [12] * 50, 13, np.full(50, 127, np.int8)),
    "hub first": graph([1] * 50, [0] * 50, 13, np.full(50, -128, np.int8)),
    "heavy tail, int16": heavy_tail(),
    "repeated edges": graph([1, 1, 1, 2], [0, 0, 0, 0], 3, np.array([1, 2, 3, 4], np.int8)),
}
CHANNELS = (1, 7, 8, 16, 33)
THREADS = (1, 2, 3, 7)


def codes(rows: int, channels: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    """Codes with the two extreme values well represented."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rng = np.random.default_rng(seed)
    values = rng.integers(low, high + 1, (rows, channels))
    return np.where(rng.random((rows, channels)) < 0.2, rng.choice([low, high], (rows, channels)), values).astype(
        np.int8
    )


def tie_epilogue(channels: int, bits: int = 8, zero_point: int = 0, relu: bool = False) -> Requantize:
    """Multipliers that are powers of two: half of all sums fall on a rounding tie."""
    multiplier = np.resize(np.array([0.5, 0.25, 2.0**-9]), channels)
    offset = np.resize(np.array([0.0, 0.5, -1.5, 3.25]), channels)
    return Requantize(multiplier, offset, relu, Grid(1.0, zero_point, bits))


@st.composite
def graphs(draw: st.DrawFn) -> Csr:
    num_nodes = draw(st.integers(1, 40))
    edges = draw(st.lists(st.tuples(st.integers(0, num_nodes - 1), st.integers(0, num_nodes - 1)), max_size=120))
    if draw(st.booleans()):  # a hub with all edges
        edges = [(source, num_nodes - 1) for source, _ in edges]
    kind = draw(st.sampled_from([None, np.int8, np.int16]))
    weights = None
    if kind is not None:
        bound = 128 if kind is np.int8 else 255
        weights = np.array(
            draw(st.lists(st.integers(-bound, bound - 1), min_size=len(edges), max_size=len(edges))), kind
        )
    return graph([e[0] for e in edges], [e[1] for e in edges], num_nodes, weights)


@st.composite
def epilogues(draw: st.DrawFn, channels: int) -> Requantize:
    bits = draw(st.sampled_from([2, 3, 4, 8]))
    real = st.one_of(st.sampled_from([0.0, 0.5, -0.5, 1e-30, 1e12]), st.floats(-1e3, 1e3))
    multiplier = draw(st.lists(real, min_size=channels, max_size=channels))
    offset = draw(st.lists(real, min_size=channels, max_size=channels))
    out = Grid(1.0, draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)), bits)
    return Requantize(np.array(multiplier), np.array(offset), draw(st.booleans()), out)
