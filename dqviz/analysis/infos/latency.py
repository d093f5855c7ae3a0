"""Measured times: whole models (latency_bars) and single operations (latency_operations)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.words import number
from dqviz.columns import TABLES

WHOLE = frozenset({"gcn", "gin", "gat", "sage", "appnp", "smp"})
"""Names of `op` that are a whole model; `epoch-...` are trainings, all others single operations."""
STEPS = {"appnp": "propagation", "smp": "propagation"}
"""How the steps of a whole model begin, where not with its own name."""
COPY = "copy"
"""A row of this op is a plain copy of memory: the bandwidth."""

SORT = {"fp32": 0, "int8": 1, "int4": 2, "int2": 3}
FULL = "fp32"
NOT_TIMED = "Nothing has been timed yet: start a measurement, which waits until no training runs."


@dataclass(frozen=True)
class Bar:
    """One timing: median with p10 and p90 in ms; how many times faster than the fastest FP32 and than PyG.

    accuracy: share of the test split that the network classifies right, as it was timed; NaN where there are no labels.
    """

    op: str
    graph: str
    backend: str
    precision: str
    median: float
    p10: float
    p90: float
    exact: bool | None
    speedup: float
    speedup_pyg: float
    accuracy: float = np.nan

    @property
    def label(self) -> str:
        return f"{self.precision.upper()} {self.backend}"


@dataclass(frozen=True, eq=False)
class Latency(Info):
    """Bars of each panel (operation on a graph); the speed-up is against the fastest FP32 of the same panel."""

    panels: tuple[tuple[str, tuple[Bar, ...]], ...]


def steps_of(frame: pd.DataFrame, op: str) -> pd.DataFrame:
    """The rows of the steps of a whole model."""
    return frame[frame["op"].astype(str).str.startswith(f"{STEPS.get(op, op)}/")]


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with every column: timings of an older version lack some."""
    missing = [str(name) for name in TABLES["latency"] if name not in frame]
    return frame.assign(**dict.fromkeys(missing, np.nan))


def graphs_by_size(frame: pd.DataFrame) -> list[str]:
    """Names of the timed graphs, smallest first."""
    sizes = frame[frame["op"] != COPY].groupby("graph", sort=False)["num_nodes"].max()
    return [str(name) for name in sizes.sort_values(kind="stable").index]


def latency_bars(frame: pd.DataFrame) -> Latency:
    """`frame` with the columns of the latency table: whole models end to end, on the first graph and the largest.

    The first graph is the one the network was trained on; those between show in the curve over size.
    """
    whole = frame[frame["op"].isin(WHOLE)]
    if len(whole):
        whole = whole[whole["graph"].isin([whole["graph"].iloc[0], graphs_by_size(whole)[-1]])]
    return _latency(whole, "End to end time of the model")


def latency_operations(frame: pd.DataFrame, graph: str = "") -> Latency:
    """`frame` with the columns of the latency table: the operations a model is made of, on one graph or on all."""
    single = ~frame["op"].isin(WHOLE | {COPY}) & ~frame["op"].astype(str).str.startswith("epoch")
    return _latency(frame[single & ((frame["graph"] == graph) | (not graph))], "Time of each operation")


def _latency(frame: pd.DataFrame, what: str) -> Latency:
    alt = f"{what}, median with p10 to p90 in milliseconds, FP32 backends beside INT8, INT4 and INT2."
    panels, tables = [], []
    for (op, graph), rows in complete(frame).groupby(["op", "graph"], sort=False, dropna=False):
        ordered = rows.sort_values("median_ms", ascending=False).sort_values(
            "precision", key=lambda column: column.map(SORT).fillna(9), kind="stable")  # fmt: skip
        bars = _bars(ordered)
        panels.append((f"{op} on {graph}" if isinstance(graph, str) and graph else str(op), bars))
        speedups = {"speedup": [b.speedup for b in bars], "speedup_pyg": [b.speedup_pyg for b in bars]}
        tables.append(ordered.assign(**speedups).dropna(axis=1, how="all"))
    table = pd.concat(tables, ignore_index=True) if tables else frame.reset_index(drop=True)
    return Latency(_sentence(panels), alt, table, tuple(panels))


def _bars(rows: pd.DataFrame) -> tuple[Bar, ...]:
    full = rows[rows["precision"] == FULL]
    fastest = float(full["median_ms"].min()) if len(full) else np.nan
    pyg = full[full["backend"] == "pyg"]["median_ms"]
    slow = float(pyg.min()) if len(pyg) else np.nan
    return tuple(
        Bar(str(row["op"]), str(row["graph"]), str(row["backend"]), str(row["precision"]), float(row["median_ms"]),
            float(row["p10_ms"]), float(row["p90_ms"]), None if pd.isna(row["exact"]) else bool(row["exact"]),
            fastest / row["median_ms"], slow / row["median_ms"], float(row["accuracy"]))
        for row in rows.to_dict("records")
    )  # fmt: skip


def _sentence(panels: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    told = [(bar.speedup, name, bar, bars) for name, bars in panels for bar in bars
            if bar.precision != FULL and np.isfinite(bar.speedup)]  # fmt: skip
    if not told:
        return NOT_TIMED if not panels else "No integer run has been timed beside an FP32 one here."
    speedup, name, bar, bars = max(told, key=lambda t: t[0])
    rival = min((b for b in bars if b.precision == FULL), key=lambda b: b.median)
    against = f"the fastest FP32 ({rival.backend}, {number(rival.median)} ms)"
    pyg = f" and {number(bar.speedup_pyg, 2)} times as fast as PyG" if np.isfinite(bar.speedup_pyg) else ""
    if speedup >= 1:
        return (f"On {name}, {bar.label} takes {number(bar.median)} ms: {number(speedup, 2)} times as fast as "
                f"{against}{pyg}.")  # fmt: skip
    why = "; at under a millisecond the fixed cost of each call decides" if bar.median < 1 else ""
    return f"On {name} no integer run beats {against}: {bar.label} takes {number(bar.median)} ms{why}."
