"""Time against the size of the graph: the fastest FP32 beside the fastest INT8, INT4 and INT2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info, stack
from dqviz.analysis.infos.latency import COPY, FULL, SORT, WHOLE, steps_of
from dqviz.analysis.view import Array, Floats
from dqviz.analysis.words import listing, number

SPARSE = ("spmm", "sum", "mean", "scores", "attention")
"""Steps that gather neighbours (the integer programs' names)."""
ONE_SIZE = "Only one graph was timed; a run that was trained here can be timed on a larger one as well."
WHAT = {"whole": "end to end", "sparse": "its sparse products"}


@dataclass(frozen=True)
class Curve:
    """The fastest backend of one precision at each size: num_nodes [sizes], ms [sizes], backends [sizes]."""

    precision: str
    num_nodes: Array
    ms: Floats
    backends: tuple[str, ...]

    @property
    def label(self) -> str:
        names = list(dict.fromkeys(self.backends))
        return f"{self.precision.upper()} {listing(names)}" if len(names) < 3 else self.precision.upper()


@dataclass(frozen=True, eq=False)
class ScaleCurve(Info):
    """Curves by what was timed ('gcn end to end', 'gcn, its sparse products'), FP32 first."""

    panels: tuple[tuple[str, tuple[Curve, ...]], ...]


def scale_curve(frame: pd.DataFrame) -> ScaleCurve:
    """`frame` with the columns of the latency table. Where there are several, the graph of the training is left out:
    it has another mean degree than the generated ones.
    """
    timed = frame[frame["op"] != COPY]
    if timed["graph"].nunique() > 2:
        timed = timed[timed["graph"] != timed["graph"].iloc[0]]
    panels = []
    for arch in [op for op in dict.fromkeys(timed["op"]) if op in WHOLE]:
        panels.append((f"{arch} {WHAT['whole']}", curves(timed[timed["op"] == arch])))
        panels.append((f"{arch}, {WHAT['sparse']}", curves(sparse_parts(timed, str(arch)))))
    shown = tuple((name, found) for name, found in panels if any(len(one.ms) > 1 for one in found))
    tables = [_table(name, one) for name, found in shown for one in found]
    alt = "Milliseconds against the number of nodes on logarithmic axes, one line a precision."
    return ScaleCurve(_sentence(shown), alt, stack(tables, ["op", "precision", "num_nodes", "median_ms"]), shown)


def sparse_parts(frame: pd.DataFrame, arch: str) -> pd.DataFrame:
    """Sums of the sparse steps of one pass: a row a backend, precision and graph."""
    steps = steps_of(frame, arch)
    parts = steps[steps["op"].astype(str).str.split("/").str[-1].isin(SPARSE)]
    keys = ["graph", "num_nodes", "backend", "precision"]
    return parts.groupby(keys, sort=False)["median_ms"].sum().reset_index()


def curves(frame: pd.DataFrame) -> tuple[Curve, ...]:
    found = []
    for precision in sorted(set(frame["precision"]), key=lambda name: SORT.get(name, 9)):
        rows = frame[frame["precision"] == precision].sort_values("median_ms").drop_duplicates("num_nodes")
        rows = rows.sort_values("num_nodes")
        found.append(Curve(str(precision), rows["num_nodes"].to_numpy(), rows["median_ms"].to_numpy(dtype=np.float64),
                           tuple(map(str, rows["backend"]))))  # fmt: skip
    return tuple(found)


def _table(name: str, curve: Curve) -> pd.DataFrame:
    return pd.DataFrame({"op": name, "precision": curve.precision, "backend": curve.backends,
                         "num_nodes": curve.num_nodes, "median_ms": curve.ms})  # fmt: skip


def _sentence(panels: Sequence[tuple[str, Sequence[Curve]]]) -> str:
    for name, found in panels:
        full = next((one for one in found if one.precision == FULL), None)
        best = next((one for one in found if one.precision != FULL), None)
        if full is None or best is None:
            continue
        nodes, here, there = np.intersect1d(full.num_nodes, best.num_nodes, return_indices=True)
        if len(nodes) > 1:
            ratio = full.ms[here] / best.ms[there]
            first, last = (number(float(value), 2) for value in (ratio[0], ratio[-1]))
            return (f"{name}: {best.precision.upper()} is {first} times as fast as the fastest FP32 at "
                    f"{nodes[0]:,} nodes and {last} times at {nodes[-1]:,}.")  # fmt: skip
    return ONE_SIZE
