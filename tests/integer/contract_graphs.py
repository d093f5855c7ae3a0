"""Graphs on which every kernel backend must equal the reference, and strategies over them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dqviz.integer.codes import Codes, Grid
from dqviz.integer.csr import Csr, from_edges
from dqviz.integer.epilogue import Requantize, elu_thresholds


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
CHANNELS = (1, 7, 8, 16, 33, 64, 65, 130, 257)
BITS = (8, 6, 4, 3, 2)
THREADS = (1, 2, 3, 7)


def values(rows: int, channels: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    """int8 codes with the two extreme values well represented."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rng = np.random.default_rng(seed)
    inside = rng.integers(low, high + 1, (rows, channels))
    ends = rng.choice([low, high], (rows, channels))
    return np.where(rng.random((rows, channels)) < 0.2, ends, inside).astype(np.int8)


def codes(rows: int, channels: int, bits: int = 8, seed: int = 0, zero: int = 0) -> Codes:
    """The same as a matrix with a zero point."""
    return Codes.of(values(rows, channels, bits, seed), Grid(1.0, zero, bits))


def tie_epilogue(channels: int, bits: int = 8, zero_point: int = 0, relu: bool = False) -> Requantize:
    """Multipliers that are powers of two: half of all sums fall on a rounding tie."""
    multiplier = np.resize(np.array([0.5, 0.25, 2.0**-9]), channels)
    offset = np.resize(np.array([0.0, 0.5, -1.5, 3.25]), channels)
    return Requantize(multiplier, offset, relu, Grid(1.0, zero_point, bits))


def elu_epilogue(channels: int, bits: int, zero_point: int, step: float) -> Requantize:
    """ELU into a grid of that step; a third of the multipliers makes results large, a third small."""
    out = Grid(step, zero_point, bits)
    steps = elu_thresholds(out.inverse, zero_point - out.qmin)
    multiplier = np.resize(np.array([0.37, 1e-3, 11.0]), channels)
    return Requantize(multiplier, np.resize(np.array([0.0, -0.7, 1.1]), channels), not len(steps), out,
                      thresholds=steps if len(steps) else None)  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn, heads: int = 0) -> Csr:
    """Any small graph; with `heads`, weights [entries, heads] of attention (uint8) or signed."""
    num_nodes = draw(st.integers(1, 40))
    edges = draw(st.lists(st.tuples(st.integers(0, num_nodes - 1), st.integers(0, num_nodes - 1)), max_size=120))
    if draw(st.booleans()):  # a hub with all edges
        edges = [(source, num_nodes - 1) for source, _ in edges]
    kind = draw(st.sampled_from([np.uint8, np.int8] if heads else [None, np.int8, np.int16, np.uint8]))
    weights = None
    if kind is not None:
        low, high = {np.int8: (-128, 127), np.int16: (-255, 255), np.uint8: (0, 255)}[kind]
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        weights = rng.integers(low, high + 1, (len(edges), heads) if heads else len(edges)).astype(kind)
    return graph([e[0] for e in edges], [e[1] for e in edges], num_nodes, weights)


@st.composite
def epilogues(draw: st.DrawFn, channels: int, rows: int = 0) -> Requantize:
    """Any requantization; with `rows`, sometimes with a factor for each row."""
    bits = draw(st.sampled_from(BITS))
    real = st.one_of(st.sampled_from([0.0, 0.5, -0.5, 1e-30, 1e12]), st.floats(-1e3, 1e3))
    drawn = draw(st.lists(st.tuples(real, real), min_size=min(channels, 9), max_size=min(channels, 9)))
    multiplier, offset = np.resize(np.array(drawn), (channels, 2)).T.copy()
    out = Grid(
        draw(st.sampled_from([1.0, 0.3, 0.01])), draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)), bits
    )
    activation = draw(st.sampled_from(["", "relu", "elu"]))
    steps = elu_thresholds(out.inverse, out.zero_point - out.qmin) if activation == "elu" else None
    factors = np.random.default_rng(rows).random(rows) if rows and draw(st.booleans()) else None
    return Requantize(multiplier, offset, activation == "relu", out, rows=factors,
                      thresholds=steps if steps is not None and len(steps) else None)  # fmt: skip
