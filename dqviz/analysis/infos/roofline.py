"""Rate at which each operation asks for bytes, against how many it asks for and against a plain copy of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.infos.latency import COPY, complete
from dqviz.analysis.words import count, number

NO_BYTES = "No operation that was timed here tells how many bytes it moves."
CACHED = "Bytes are counted as an operation asks for them, so features that stay in the caches lie above the line"


@dataclass(frozen=True)
class Mark:
    """One timed operation: megabytes asked for, gigabytes a second."""

    label: str
    precision: str
    backend: str
    megabytes: float
    gigabytes_s: float


@dataclass(frozen=True, eq=False)
class Roofline(Info):
    """`copy_gb_s`: the fastest plain copy, None where none was timed."""

    marks: tuple[Mark, ...]
    copy_gb_s: float | None


def roofline(frame: pd.DataFrame) -> Roofline:
    """`frame` with the columns of the latency table: every operation whose bytes are known."""
    moved = complete(frame).dropna(subset=["bytes_moved"])
    moved = moved.assign(rate_gb_s=moved["bytes_moved"].astype(float) / moved["median_ms"].astype(float) / 1e6)
    copies = moved.loc[moved["op"] == COPY, "rate_gb_s"]
    limit = float(copies.max()) if len(copies) else None
    moved = moved[moved["op"] != COPY]
    marks = tuple(
        Mark(f"{row['op']} on {row['graph']}", str(row["precision"]), str(row["backend"]),
             float(row["bytes_moved"]) / 1e6, float(row["rate_gb_s"]))
        for row in moved.to_dict("records")
    )  # fmt: skip
    shown = ["op", "graph", "backend", "precision", "median_ms", "bytes_moved", "rate_gb_s"]
    table = moved[shown].reset_index(drop=True)
    if limit:
        table = table.assign(limit_share=table["rate_gb_s"] / limit)
    alt = "Gigabytes a second against megabytes of each operation, with a line at the rate of a plain copy of memory."
    return Roofline(_sentence(marks, limit), alt, table, marks, limit)


def _sentence(marks: Sequence[Mark], limit: float | None) -> str:
    if not marks:
        return NO_BYTES
    best = max(marks, key=lambda mark: mark.gigabytes_s)
    first = f"{best.precision.upper()} {best.backend} moves most, {number(best.gigabytes_s)} GB/s in {best.label}"
    if limit is None:
        return f"{first}; no copy of memory was timed to compare with."
    above = sum(mark.gigabytes_s > limit for mark in marks)
    return (f"{first}; a plain copy of memory reaches {number(limit)} GB/s here. {CACHED}: {above} of "
            f"{count(len(marks), 'timing')} do.")  # fmt: skip
