"""How many nodes have which in-degree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.protection import degree_table
from dqviz.analysis.view import Floats, Ints
from dqviz.analysis.words import NOTHING, count, percent


@dataclass(frozen=True, eq=False)
class DegreeHistogram(Info):
    """`degree`, `nodes` [distinct degrees]; `ecdf` the inclusive share of nodes up to each degree."""

    degree: Ints
    nodes: Ints
    ecdf: Floats


def facts_of_nodes(nodes: pd.DataFrame) -> dict[str, Any]:
    """What `degree_histogram` takes of a data set's facts, from the nodes table of a run on it."""
    degrees, counts = np.unique(nodes["degree"].to_numpy(dtype=np.int64), return_counts=True)
    return {"degree_table": {str(degree): int(amount) for degree, amount in zip(degrees, counts, strict=True)}}


def degree_histogram(facts: Mapping[str, Any]) -> DegreeHistogram:
    """From a data set's facts (`degree_table`)."""
    degree, nodes = degree_table(facts)
    ecdf = np.cumsum(nodes) / max(1, nodes.sum())
    table = pd.DataFrame({"degree": degree, "nodes": nodes, "ecdf": ecdf})
    return DegreeHistogram(_sentence(degree, nodes, ecdf), "Number of nodes by in-degree, both axes logarithmic.",
                           table, degree, nodes, ecdf)  # fmt: skip


def _sentence(degree: Ints, nodes: Ints, ecdf: Floats) -> str:
    if not len(degree):
        return NOTHING
    middle, top = int(degree[np.searchsorted(ecdf, 0.5)]), int(degree[-1])
    hubs = nodes[degree > 4 * max(middle, 1)].sum()
    isolated = int(nodes[0]) if degree[0] == 0 else 0
    alone = f"; {count(isolated, 'node')} {'receives' if isolated == 1 else 'receive'} nothing" if isolated else ""
    return (f"Half of the {nodes.sum():,} nodes have an in-degree of {middle} or less, the largest hub has {top}; "
            f"{percent(hubs / nodes.sum())} of the nodes have more than four times the median{alone}.")  # fmt: skip
