"""Graphs to time on: published ones from disk, and seeded heavy-tailed ones of a published size."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dqviz import data
from dqviz.data.paths import data_dir
from dqviz.data.whole import DAMAGE, damaged
from dqviz.errors import Unavailable, unknown

SKEW = 0.6
"""Expected degree falls as rank^-0.6: the largest hub of `arxiv-size` then holds about 0.3 % of all entries."""


@dataclass(frozen=True, eq=False)
class BenchGraph:
    """Structure only: edge_index [2, num_edges] int64 without self-loops."""

    name: str
    num_nodes: int
    edge_index: Tensor

    @property
    def num_edges(self) -> int:
        return int(self.edge_index.size(1))


def heavy_tailed(name: str, num_nodes: int, num_entries: int, seed: int = 0) -> BenchGraph:
    """Undirected graph with distinct edges whose adjacency with self-loops holds `num_entries` entries.

    Both ends of an edge are drawn with weights rank^-SKEW (Chung and Lu); node numbers are shuffled, so that
    hubs do not lie together in memory.
    """
    rng = np.random.default_rng(seed)
    wanted = (num_entries - num_nodes) // 2
    steps = np.cumsum(np.arange(1, num_nodes + 1, dtype=np.float64) ** -SKEW)
    name_of = rng.permutation(num_nodes)
    pairs = np.empty(0, np.int64)
    while len(pairs) < wanted:
        ends = np.searchsorted(steps, rng.random((2, wanted)) * steps[-1])
        low, high = ends.min(axis=0), ends.max(axis=0)
        pairs = np.unique(np.concatenate([pairs, (low * num_nodes + high)[low != high]]))
    low, high = np.divmod(rng.permutation(pairs)[:wanted], num_nodes)
    one_way = np.stack([name_of[low], name_of[high]])
    return BenchGraph(name, num_nodes, torch.from_numpy(np.concatenate([one_way, one_way[::-1]], axis=1)))


def slashdot() -> BenchGraph:
    """Slashdot's directed graph of February 2009 (SNAP soc-Slashdot0902): 82,168 nodes."""
    folder = data_dir()
    path = folder / "topology" / "soc-Slashdot0902.txt.gz" if folder else None
    if path is None or not path.exists():
        raise Unavailable("Graph 'slashdot' is not here: put soc-Slashdot0902.txt.gz into DQVIZ_DATA/topology.")
    try:
        with gzip.open(path, "rt") as lines:
            ends = np.loadtxt(lines, dtype=np.int64, comments="#").T
    except DAMAGE as error:
        raise damaged("slashdot", path.parent, error) from error
    nodes, numbers = np.unique(ends, return_inverse=True)
    edges = torch.from_numpy(numbers.reshape(ends.shape))
    return BenchGraph("slashdot", len(nodes), edges[:, edges[0] != edges[1]])


def of_data_set(name: str) -> BenchGraph:
    """The graph of a registered node task."""
    graph = data.load(name, {}).graphs[0]
    return BenchGraph(name, int(graph.num_nodes or 0), graph.edge_index)


SWEEP_NODES = {"heavy-1k": 1_000, "heavy-5k": 5_000, "heavy-20k": 20_000, "heavy-80k": 80_000}
SWEEP = (*SWEEP_NODES, "arxiv-size")
"""Graphs of growing size and the same mean degree: what a curve over size is drawn from."""
MEAN_ENTRIES = 2_450_000 / 169_343

GRAPHS: dict[str, Callable[[], BenchGraph]] = {
    "cora": partial(of_data_set, "cora"),
    "computers": partial(of_data_set, "computers"),
    "slashdot": slashdot,
    "arxiv-size": partial(heavy_tailed, "arxiv-size", 169_343, 2_450_000),
    "reddit-size": partial(heavy_tailed, "reddit-size", 232_965, 20_900_000),
    **{name: partial(heavy_tailed, name, nodes, round(nodes * MEAN_ENTRIES)) for name, nodes in SWEEP_NODES.items()},
}
"""Names for `bench --graph`. Sizes of the generated ones: ogbn-arxiv; Reddit with 20.9 of its 114.6 million edges."""


def load_graph(name: str) -> BenchGraph:
    """Raises BadInput for an unknown name (lists the choices), Unavailable where its files are not here."""
    if name not in GRAPHS:
        raise unknown("graph", name, GRAPHS)
    return GRAPHS[name]()
