"""Two sums, or two matrices of codes, added in one epilogue: the steps of a propagation (APPNP, SMP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dqviz.integer.codes import Codes
from dqviz.integer.epilogue import Dequantize, Requantize
from dqviz.integer.graph import Prepared
from dqviz.integer.kernels.base import centred
from dqviz.integer.ops import Frame, Op
from dqviz.integer.pools import pooled_means


@dataclass(frozen=True, eq=False)
class Blend(Op):
    """code(first * multiplier + second * also): `source` (sums or codes) and value `second` (codes)."""

    second: str
    epilogue: Requantize
    kind: ClassVar[str] = "blend"

    def result(self, frame: Frame, value: Any) -> Any:
        return frame.backend.combine(value, frame.values[self.second], self.epilogue)


@dataclass(frozen=True, eq=False)
class Real(Op):
    """Codes to float32 logits: of each row, or in a graph task the mean of each graph's rows, whose sum is exact."""

    epilogue: Dequantize
    kind: ClassVar[str] = "logits"

    def in_kernels(self, graph: Prepared) -> bool:
        return not graph.told_apart

    def result(self, frame: Frame, value: Codes) -> Any:
        if frame.graph.told_apart:
            return self.epilogue.apply(pooled_means(frame, centred(value)))
        return frame.backend.combine(value, None, self.epilogue)
