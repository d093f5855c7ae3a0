"""The operations of attention (GAT): each node's scores, then softmax over a row's entries and the weighted sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dqviz.integer.codes import Codes, Grid
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.graph import Edges, Prepared
from dqviz.integer.ops import Frame, Op
from dqviz.integer.softmax import Softmax
from dqviz.integer.weight import Weight

SOFTMAX = "softmax: exponentials from a table, their sums in float64, one division an edge and head"


@dataclass(frozen=True, eq=False)
class Scores(Op):
    """Dot products of each row with the attention vectors of every head: codes [num_nodes, 2 heads] of ALPHA.

    `products`: one with both vectors' outputs, or one for each vector; `vectors` are the grids of both.
    """

    products: tuple[tuple[Weight, Requantize], ...]
    vectors: tuple[Grid, ...]
    kind: ClassVar[str] = "gemm"

    def result(self, frame: Frame, value: Codes) -> Any:
        return frame.backend.gemms_beside(value, self.products)

    @property
    def out(self) -> Grid:
        return self.products[0][1].out

    @property
    def weights(self) -> tuple[Weight, ...]:
        return tuple(weight for weight, _ in self.products)

    @property
    def sites(self) -> list[Grid]:
        return [self.out, *self.vectors]


@dataclass(frozen=True, eq=False)
class Attend(Op):
    """Neighbours weighted by attention: the softmax of value `scores` over each row's entries, then the sum.

    Heads lie side by side, or with `concat` False are added (the epilogue divides by their number).
    """

    scores: str
    softmax: Softmax
    add_self_loops: bool
    concat: bool
    epilogue: Epilogue | None
    kind: ClassVar[str] = "attention"

    def in_kernels(self, graph: Prepared) -> bool:
        return self.concat

    def matrix(self, edges: Edges) -> Csr:
        return edges.with_loops if self.add_self_loops else edges.plain

    def result(self, frame: Frame, value: Codes) -> Any:
        backend, matrix, scores = frame.backend, frame.graph.matrices[self.name], frame.values[self.scores]
        if self.concat:
            return backend.attend(matrix, value, scores, self.softmax, self.epilogue)
        heads: Any = backend.attend(matrix, value, scores, self.softmax)
        sums = heads.reshape(len(heads), scores.channels // 2, -1).sum(axis=1, dtype=np.int64)
        return sums if self.epilogue is None else backend.combine(sums, None, self.epilogue)

    @property
    def sites(self) -> list[Grid]:
        return [*super().sites, self.softmax.out]

    @property
    def float_part(self) -> str:
        return f"{SOFTMAX}; {super().float_part}"
