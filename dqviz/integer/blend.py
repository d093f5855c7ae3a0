"""Two sums, or two matrices of codes, added in one epilogue: the steps of a propagation (APPNP, SMP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dqviz.integer.codes import Codes, Float32, Float64, Int32, Int64
from dqviz.integer.epilogue import Dequantize, Requantize
from dqviz.integer.ops import Frame, Op


def centred(value: Any) -> Any:
    """Sums as they are; of codes code - zero_point, int32 [rows, channels]."""
    if not isinstance(value, Codes):
        return value
    found: Int32 = value.values.astype(np.int32) - np.int32(value.params.zero_point)
    return found


@dataclass(frozen=True, eq=False)
class Blend(Op):
    """code(first * multiplier + second * also): `source` (sums or codes) and value `second` (codes)."""

    second: str
    epilogue: Requantize
    kind: ClassVar[str] = "blend"

    @property
    def in_kernels(self) -> bool:
        return False

    def result(self, frame: Frame, value: Any) -> Any:
        return frame.backend.combine(centred(value), centred(frame.values[self.second]), self.epilogue)


@dataclass(frozen=True, eq=False)
class Real(Op):
    """Codes to float32 logits: of each row, or in a graph task the mean of each graph's rows, whose sum is exact."""

    epilogue: Dequantize
    kind: ClassVar[str] = "logits"

    @property
    def in_kernels(self) -> bool:
        return False

    def result(self, frame: Frame, value: Codes) -> Float32:
        codes, ptr = centred(value), frame.graph.pool_ptr
        if ptr is None or not frame.graph.told_apart:
            return self.epilogue.apply(codes)
        count: Float64 = np.maximum(np.diff(ptr), 1).astype(np.float64)
        return self.epilogue.apply(sums_of(codes, ptr) / count[:, None])


def sums_of(codes: Int32, ptr: Int64) -> Int64:
    """Sum of the rows of each graph [num_graphs, channels]; ptr [num_graphs + 1]."""
    total = np.zeros((len(codes) + 1, codes.shape[1]), np.int64)
    np.cumsum(codes, 0, dtype=np.int64, out=total[1:])
    found: Int64 = total[ptr[1:]] - total[ptr[:-1]]
    return found
