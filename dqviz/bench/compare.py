"""What rows of one run say about each other: speed-ups and the share of the measured memory bandwidth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dqviz.bench.cases import COPY
from dqviz.bench.rows import Row

FULL, PYG = "fp32", "pyg"


def compared(rows: Sequence[Row]) -> list[Row]:
    """The rows with `speedup` (against the fastest float peer), `speedup_pyg` and `bandwidth_share`; None if unknown.

    Peers are rows of the same operation, graph and thread count; the bandwidth is that of the copy on as many threads.
    """
    return [row | {"speedup": ratio(peers(rows, row), row), "speedup_pyg": ratio(peers(rows, row, PYG), row),
                   "bandwidth_share": share(rows, row)} for row in rows]  # fmt: skip


def peers(rows: Sequence[Row], row: Row, backend: str = "") -> list[Row]:
    """Float rows of the same thing, of one backend or of all."""
    same = [one for one in rows if one["precision"] == FULL and key(one) == key(row)]
    return [one for one in same if not backend or one["backend"] == backend]


def key(row: Row) -> tuple[Any, ...]:
    return row["op"], row["graph"], row["threads"], row["features"]


def ratio(found: Iterable[Row], row: Row) -> float | None:
    """How many times as fast `row` is as the fastest of `found`."""
    times = [float(one["median_ms"]) for one in found]
    return min(times) / float(row["median_ms"]) if times else None


def share(rows: Sequence[Row], row: Row) -> float | None:
    """Bytes a second over those of the fastest copy; above 1 where caches serve what the bytes are counted for."""
    limit = max((rate(one) for one in rows if one["op"] == COPY and one["threads"] == row["threads"]), default=0.0)
    return rate(row) / limit if limit and row["bytes_moved"] is not None else None


def rate(row: Row) -> float:
    """Bytes per millisecond."""
    return float(row["bytes_moved"] or 0) / float(row["median_ms"])
