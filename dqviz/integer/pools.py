"""The operations that pool the nodes of each graph: integers are added, and divided once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dqviz.integer.codes import Codes, Float32, Float64, Int64
from dqviz.integer.epilogue import Requantize, elu_steps
from dqviz.integer.graph import Prepared
from dqviz.integer.ops import Frame, Op

FRACTION = 256
"""Parts of a step that a pool adds in."""
LARGEST_STEP = 2**40
"""Where a fixed-point value is clipped: far beyond any grid, and 2^22 nodes of it fit int64."""


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Mean over the nodes of each graph of sums + bias (after ReLU): added in int64, divided and rounded once.

    `bias` int64 [channels] is in 1 / FRACTION of the sums' step (S1 S2 of Jacob et al., which is coarse at 2 bits).
    """

    bias: Int64
    relu: bool
    epilogue: Requantize
    kind: ClassVar[str] = "pool"

    def in_kernels(self, graph: Prepared) -> bool:
        return False

    def result(self, frame: Frame, value: Int64) -> Codes:
        values = value.astype(np.int64) * FRACTION + self.bias
        if self.relu:
            values = np.maximum(values, 0)
        return Codes.of(self.epilogue.apply(pooled_means(frame, values)), self.epilogue.out)


@dataclass(frozen=True, eq=False)
class FixedPool(Op):
    """Mean over the nodes of each graph of reals in small steps (float32), each rounded to an integer, then added.

    For sums of two scales (SAGE) and for ELU (GAT, `thresholds`; else ReLU), whose values have no common step. The
    step is 1 / 1024 of the next grid's, so the roundings of n nodes move a mean by at most 1 / 2048 of a step.
    """

    thresholds: Float32 | None
    epilogue: Requantize
    kind: ClassVar[str] = "pool"

    def in_kernels(self, graph: Prepared) -> bool:
        return False

    def result(self, frame: Frame, value: Float32) -> Codes:
        y = np.maximum(value, np.float32(0)) if self.thresholds is None else elu_steps(value, self.thresholds)
        steps = np.rint(np.minimum(y, np.float32(LARGEST_STEP))).astype(np.int64)
        return Codes.of(self.epilogue.apply(pooled_means(frame, steps)), self.epilogue.out)


def pooled_means(frame: Frame, values: Int64) -> Float64:
    """Means of the rows of each graph [num_graphs, channels]: added in int64, divided once."""
    ptr = frame.graph.pool_ptr
    if ptr is None:
        raise ValueError("This program pools nodes by graph: prepare the graph with its batch.")
    running = np.concatenate([np.zeros((1, values.shape[1]), np.int64), np.cumsum(values, axis=0)])
    count = np.maximum(np.diff(ptr), 1)[:, None].astype(np.float64)
    means: Float64 = (running[ptr[1:]] - running[ptr[:-1]]).astype(np.float64) / count
    return means
