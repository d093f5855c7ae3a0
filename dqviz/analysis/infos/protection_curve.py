"""Protection probability against in-degree for chosen p_min and p_max: no training needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.protection import check_probabilities, degree_table, expected_edge_share, expected_node_share
from dqviz.analysis.view import Floats, Ints
from dqviz.analysis.words import NOTHING, percent


@dataclass(frozen=True, eq=False)
class ProtectionCurve(Info):
    """`p` at each distinct in-degree; expected shares of nodes, and of edges that end at a protected node."""

    degree: Ints
    nodes: Ints
    p: Floats
    p_min: float
    p_max: float
    node_share: float
    edge_share: float


def protection_curve(facts: Mapping[str, Any], p_min: float, p_max: float) -> ProtectionCurve:
    """From a data set's facts (`degree_table`). Raises BadInput unless 0 <= p_min <= p_max <= 1."""
    check_probabilities(p_min, p_max)
    degree, nodes = degree_table(facts)
    p = p_min + (p_max - p_min) * np.cumsum(nodes) / max(1, nodes.sum())
    node_share, edge_share = expected_node_share(p, nodes), expected_edge_share(p, degree, nodes)
    table = pd.DataFrame({"degree": degree, "nodes": nodes, "protection": p})
    alt = f"Protection probability rising with in-degree from near {p_min:g} to {p_max:g}, node counts below."
    sentence = _sentence(degree, p, node_share, edge_share)
    if len(degree) and facts.get("graphs", 1) > 1:
        sentence += " Here F is taken over all graphs together; in training each graph has its own."
    return ProtectionCurve(sentence, alt, table, degree, nodes, p, p_min, p_max,
                           node_share, edge_share)  # fmt: skip


def _sentence(degree: Ints, p: Floats, node_share: float, edge_share: float) -> str:
    if not len(degree):
        return NOTHING
    edges = f", and {percent(edge_share)} of the edges end at one" if np.isfinite(edge_share) else ""
    return (f"In each training step {percent(node_share)} of the nodes are protected on average{edges}; the largest "
            f"hub (in-degree {degree[-1]}) in {percent(float(p[-1]))} of the steps, the smallest node in "
            f"{percent(float(p[0]))}.")  # fmt: skip
