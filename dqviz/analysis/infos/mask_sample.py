"""One sampled protective mask drawn on a piece of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.protection import check_probabilities, degree_table
from dqviz.analysis.view import Array, Floats, Ints
from dqviz.analysis.words import NOTHING, count


@dataclass(frozen=True, eq=False)
class MaskSample(Info):
    """Nodes [n] with place `xy` [n, 2], p and whether protected; `edges` [m, 2] positions, source first."""

    node: Ints
    xy: Floats
    edges: Ints
    degree: Ints
    p: Floats
    protected: Array


def mask_sample(facts: Mapping[str, Any], p_min: float, p_max: float, seed: int = 0) -> MaskSample:
    """From a data set's facts (`sample`, `degree_table`); p as in the whole graph, the draw seeded."""
    check_probabilities(p_min, p_max)
    sample = facts.get("sample") or {}
    node = np.asarray(sample.get("node", []), dtype=np.int64)
    degree = np.asarray(sample.get("degree", []), dtype=np.int64)
    known, nodes = degree_table(facts)
    share = np.concatenate([[0.0], np.cumsum(nodes) / max(1, nodes.sum())])
    p = p_min + (p_max - p_min) * share[np.searchsorted(known, degree, side="right")]
    protected = np.random.default_rng(seed).random(len(p)) < p
    table = pd.DataFrame({"node": node, "degree": degree, "protection": p, "protected": protected})
    xy = np.asarray(sample.get("xy", []), dtype=np.float64).reshape(-1, 2)
    edges = np.asarray(sample.get("edges", []), dtype=np.int64).reshape(-1, 2)
    alt = "A piece of the graph; protected nodes filled and larger, the others light."
    return MaskSample(_sentence(degree, protected), alt, table, node, xy, edges, degree, p, protected)


def _sentence(degree: Ints, protected: Array) -> str:
    if not len(degree):
        return NOTHING
    some = degree[protected]
    if len(some) in (0, len(degree)):
        return f"In this draw {'all' if len(some) else 'none'} of the {count(len(degree), 'node')} shown are protected."
    return (f"In this draw {len(some)} of the {count(len(degree), 'node')} shown {'is' if len(some) == 1 else 'are'} "
            f"protected, with a mean in-degree of {some.mean():.1f} against {degree[~protected].mean():.1f} of the "
            "others; the next step draws anew.")  # fmt: skip
