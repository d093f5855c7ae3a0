"""Two sums, or two matrices of codes, added in one epilogue: the steps of a propagation (APPNP, SMP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dqviz.integer.codes import Codes, Float32, Int32
from dqviz.integer.epilogue import Dequantize, Requantize
from dqviz.integer.ops import Frame, Op
from dqviz.integer.pools import pooled_means


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
        codes = centred(value)
        return self.epilogue.apply(pooled_means(frame, codes) if frame.graph.told_apart else codes)
