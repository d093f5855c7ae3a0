"""Memory that a timed network holds: its weights and the features of its graph."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.infos.latency import FULL, SORT, WHOLE, complete, graphs_by_size
from dqviz.analysis.words import number

DENSE_SHARE = 0.3
"""Above this share of FP32 even 8 bits cannot be dense features (1/4): they are sparse rows."""
INDICES = " They are sparse rows: each value has an index beside it, and indices do not shrink."
UNKNOWN = "This timing does not tell what model and features take in memory: measure again."


@dataclass(frozen=True)
class Held:
    """Megabytes of one precision."""

    precision: str
    model_mb: float
    features_mb: float


@dataclass(frozen=True, eq=False)
class HeldMemory(Info):
    """On the largest graph that was timed, FP32 first."""

    held: tuple[Held, ...]


def held_memory(frame: pd.DataFrame) -> HeldMemory:
    """`frame` with the columns of the latency table. Of several backends of a precision the one that holds least."""
    whole = complete(frame[frame["op"].isin(WHOLE)]).dropna(subset=["size_bytes", "feature_bytes"])
    graph = graphs_by_size(whole)[-1] if len(whole) else ""
    rows = whole[whole["graph"] == graph].sort_values("feature_bytes", kind="stable").drop_duplicates("precision")
    rows = rows.sort_values("precision", key=lambda column: column.map(SORT).fillna(9), kind="stable")
    held = tuple(
        Held(str(row["precision"]), float(row["size_bytes"]) / 1e6, float(row["feature_bytes"]) / 1e6)
        for row in rows.to_dict("records")
    )
    table = rows[["graph", "precision", "backend", "size_bytes", "feature_bytes"]].reset_index(drop=True)
    alt = "Megabytes of weights and of features in memory, FP32 beside INT8, INT4 and INT2."
    return HeldMemory(_sentence(held, graph), alt, table, held)


def _sentence(held: tuple[Held, ...], graph: str) -> str:
    if not held or held[0].precision != FULL:
        return UNKNOWN
    full = held[0]
    parts = [f"{one.precision.upper()} {number(one.features_mb)} MB ({number(one.features_mb / full.features_mb)} "
             f"of it)" for one in held[1:] if full.features_mb]  # fmt: skip
    listed = "; ".join(parts) or "no integer run was timed beside it"
    sparse = any(one.features_mb > DENSE_SHARE * full.features_mb for one in held[1:] if one.precision != FULL)
    return f"On {graph} the features take {number(full.features_mb)} MB in FP32; {listed}.{INDICES if sparse else ''}"
