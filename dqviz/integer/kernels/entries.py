"""Jobs of the native kernels that write the weights of a sparse matrix: quantized entries, and sums of sparse rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dqviz.integer.codes import Grid
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Requantize
from dqviz.integer.graph import SparseRows
from dqviz.integer.kernels.finishing import bounds
from dqviz.integer.kernels.library import EntriesJob, MeetJob, address
from dqviz.integer.kernels.meeting import Meeting
from dqviz.integer.quads import Layout, Quads


def entries_job(x: SparseRows, params: Grid, level: int, threads: int) -> tuple[EntriesJob, Quads]:
    """Centred codes of the stored entries of x; both must live until the job has run."""
    low, high = params.qmin - params.zero_point, params.qmax - params.zero_point
    quads = empty(x.pattern.layout, low, high)
    job = EntriesJob(level, threads, params.inverse, low, high, 0, address(x.padded), address(quads.layout.ptr),
                     quads.layout.num_rows, address(quads.weights), address(quads.weight_sums))  # fmt: skip
    return job, quads


def meet_job(
    sums: Meeting, x: Quads, own: float, epilogue: Requantize, level: int, threads: int
) -> tuple[MeetJob, Quads, tuple[Any, ...]]:
    """Sums of the rows x, finished; with what else must live until the job has run."""
    low, high = bounds(epilogue.out, epilogue.relu)
    layout, pattern = sums.pattern.layout, sums.pattern
    quads = empty(layout, int(low), int(high))
    multiplier = np.ascontiguousarray(np.broadcast_to(epilogue.multiplier, (pattern.num_cols,)), np.float64)
    rows = None if epilogue.rows is None else np.ascontiguousarray(epilogue.rows, np.float64)
    job = MeetJob(
        level, threads, x.nonnegative, 0, low, high, own, address(x.weights), address(sums.ptr), address(sums.source),
        address(sums.own), address(pattern.indptr), address(layout.ptr), address(pattern.indices), address(multiplier),
        address(rows), layout.num_rows, address(quads.weights), address(quads.weight_sums),
    )  # fmt: skip
    return job, quads, (sums, x, multiplier, rows)


def empty(layout: Layout, low: int, high: int) -> Quads:
    """Room for weights from low to high."""
    weights, sums = np.zeros(layout.room, np.uint8), np.empty(layout.num_rows, np.int32)
    return Quads(layout, weights, sums, low >= 0, high <= 127)


def weighed(pattern: Csr, quads: Quads) -> Csr:
    """A matrix of this pattern with the weights of `quads`, which it keeps."""
    placed = quads.weights[quads.layout.place]
    matrix = replace(pattern, weights=placed if quads.nonnegative else placed.view(np.int8))
    matrix.__dict__["quads"] = quads
    return matrix
