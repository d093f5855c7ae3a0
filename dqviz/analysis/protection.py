"""Protection probability of a node and what share of a graph it covers (METHODS.md 1.4), without any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dqviz.analysis.view import Array, Floats, Ints
from dqviz.errors import BadInput


def protection(degree: Array, p_min: float, p_max: float) -> Floats:
    """[num_nodes] in-degree -> [num_nodes] p = p_min + (p_max - p_min) F(d), F the inclusive empirical CDF.

    Equal degrees get equal p, the largest gets p_max. Raises BadInput unless 0 <= p_min <= p_max <= 1.
    """
    check_probabilities(p_min, p_max)
    degree = np.asarray(degree)
    if not degree.size:
        return np.zeros(0)
    share = np.searchsorted(np.sort(degree), degree, side="right") / degree.size
    return np.asarray(p_min + (p_max - p_min) * share)


def check_probabilities(p_min: float, p_max: float) -> None:
    if not 0 <= p_min <= p_max <= 1:
        raise BadInput(f"Protection needs 0 <= p_min <= p_max <= 1, not p_min = {p_min:g} and p_max = {p_max:g}.")


def expected_node_share(p: Array, nodes: Array) -> float:
    """Expected share of nodes protected in a step; `nodes` counts the nodes that have each p."""
    return float(p @ nodes / nodes.sum()) if nodes.sum() else float("nan")


def expected_edge_share(p: Array, degree: Array, nodes: Array) -> float:
    """Expected share of edges that end at a protected node, sum(p d) / sum(d): the sums that come out untouched."""
    edges = degree * nodes
    return float(p @ edges / edges.sum()) if edges.sum() else float("nan")


def degree_table(facts: Mapping[str, Any]) -> tuple[Ints, Ints]:
    """(in-degrees, number of nodes of each) from a data set's facts, ascending."""
    table = {int(degree): int(nodes) for degree, nodes in dict(facts.get("degree_table") or {}).items()}
    degrees = sorted(table)
    return np.array(degrees, dtype=np.int64), np.array([table[d] for d in degrees], dtype=np.int64)
