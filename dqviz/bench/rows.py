"""One row of a timing table: TABLES['latency'], the same keys as `bench --json`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dqviz.bench.protocol import Timing
from dqviz.columns import Column
from dqviz.errors import unknown

Row = dict[str, Any]
PRECISIONS = {2: "int2", 3: "int3", 4: "int4", 8: "int8", 32: "fp32"}


def require_widths(bits: Iterable[int]) -> None:
    """Raises BadInput for a width that no integer kernel has."""
    choices = [width for width in PRECISIONS if width < 32]
    for width in bits:
        if width not in choices:
            raise unknown("bit width", width, map(str, choices))


def row(
    op: str,
    backend: str,
    precision: str,
    graph: str,
    sizes: tuple[int, int, int],
    threads: int,
    timing: Timing,
    *,
    exact: bool | None,
    bytes_moved: int | None,
    size_bytes: int | None = None,
    feature_bytes: int | None = None,
    accuracy: float | None = None,
) -> Row:
    """`sizes`: (num_nodes, num_edges, features). exact: equals the reference to the bit; None where there is none.

    size_bytes, feature_bytes: weights and features as they are held in memory; accuracy of the network as timed.
    """
    num_nodes, num_edges, features = sizes
    return {
        Column.OP.value: op,
        Column.BACKEND.value: backend,
        Column.PRECISION.value: precision,
        Column.GRAPH.value: graph,
        Column.NUM_NODES.value: num_nodes,
        Column.NUM_EDGES.value: num_edges,
        Column.FEATURES.value: features,
        Column.THREADS.value: threads,
        Column.MEDIAN_MS.value: timing.median_ms,
        Column.P10_MS.value: timing.p10_ms,
        Column.P90_MS.value: timing.p90_ms,
        Column.REPEATS.value: timing.repeats,
        Column.EXACT.value: exact,
        Column.BYTES_MOVED.value: bytes_moved,
        Column.SIZE_BYTES.value: size_bytes,
        Column.FEATURE_BYTES.value: feature_bytes,
        Column.ACCURACY.value: accuracy,
    }
