"""The operations of an integer program. Each is a frozen value that reads and writes named values of a frame."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from dqviz.integer.codes import Codes, Float32, Grid, Int64, narrow, quantize
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.graph import Edges, Features, Prepared, SparseRows
from dqviz.integer.kernels import Backend
from dqviz.integer.weight import Weight


@dataclass(frozen=True, eq=False)
class SparseCodes:
    """A sparse quantized matrix: centred codes of the stored entries; what is not stored is an exact zero."""

    matrix: Csr
    params: Grid


Value = Features | Codes | SparseCodes | Int64
"""What a frame holds: float features, codes, sums that wait for a pool, float logits."""


@dataclass
class Frame:
    """One run: the kernels, the prepared graph and the values by name ('x' is the input)."""

    backend: Backend
    graph: Prepared
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Op:
    """`name` as it stands in timing tables; reads value `source`, writes value `target`."""

    name: str
    source: str
    target: str
    kind: ClassVar[str]

    @abstractmethod
    def result(self, frame: Frame, value: Any) -> Any:
        """What `target` becomes from the value of `source`."""

    def run(self, frame: Frame) -> None:
        frame.values[self.target] = self.result(frame, frame.values[self.source])

    def matrix(self, edges: Edges) -> Csr | None:
        """The sparse matrix this operation multiplies by, made once for a graph."""
        return None

    @property
    def out(self) -> Grid | None:
        """Grid of the codes this operation writes; None where it writes sums or logits."""
        epilogue = getattr(self, "epilogue", None)
        return epilogue.out if isinstance(epilogue, Requantize) else None

    @property
    def float_part(self) -> str:
        """Which part is float arithmetic, in words."""
        return (
            "requantization: one multiplication, addition and rounding a value"
            if self.out
            else "logits leave as float32"
        )


@dataclass(frozen=True, eq=False)
class Quantize(Op):
    """Float features to codes."""

    grid: Grid
    kind: ClassVar[str] = "quantize"

    def result(self, frame: Frame, value: Features) -> Codes | SparseCodes:
        if isinstance(value, SparseRows):
            centred = quantize(value.values, self.grid).astype(np.int64) - self.grid.zero_point
            return SparseCodes(replace(value.pattern, weights=narrow(centred)), self.grid)
        return frame.backend.quantize(value, self.grid)

    @property
    def out(self) -> Grid:
        return self.grid

    @property
    def float_part(self) -> str:
        return "reads float32 features"


@dataclass(frozen=True, eq=False)
class Gemm(Op):
    """Dense product with the weight of a linear layer; sparse rows stay sparse and integer."""

    weight: Weight
    epilogue: Epilogue | None
    kind: ClassVar[str] = "gemm"

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Any:
        if isinstance(value, SparseCodes):
            return frame.backend.spmm(value.matrix, self.weight.rows, epilogue=self.epilogue)
        return frame.backend.gemm(value, self.weight, self.epilogue)


@dataclass(frozen=True, eq=False)
class Spmm(Op):
    """Neighbours weighted by quantized edge coefficients (GCN)."""

    norm: Grid
    improved: bool
    add_self_loops: bool
    epilogue: Epilogue | None
    kind: ClassVar[str] = "spmm"

    def matrix(self, edges: Edges) -> Csr:
        return edges.normalised(self.norm, self.improved, self.add_self_loops)

    def result(self, frame: Frame, value: Codes) -> Any:
        return frame.backend.spmm(frame.graph.matrices[self.name], value, epilogue=self.epilogue)


@dataclass(frozen=True, eq=False)
class Sum(Op):
    """Plain sum of neighbours plus `own` times the row itself (GIN's 1 + eps), requantized."""

    own: float
    epilogue: Requantize
    kind: ClassVar[str] = "sum"

    def matrix(self, edges: Edges) -> Csr:
        return edges.plain()

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Any:
        matrix, grid = frame.graph.matrices[self.name], self.epilogue.out
        if isinstance(value, SparseCodes):
            return SparseCodes(frame.backend.sum_sparse(matrix, value.matrix, self.own, self.epilogue), grid)
        return frame.backend.spmm(matrix, value, own=self.own, epilogue=self.epilogue)


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Mean over the nodes of each graph of sums + bias (after ReLU): added in int64, divided and rounded once.

    `bias` int64 [channels] is in steps of the sums (Jacob et al.: scale S1 S2), so nothing is rounded before the mean.
    """

    bias: Int64
    relu: bool
    epilogue: Requantize
    kind: ClassVar[str] = "pool"

    def result(self, frame: Frame, value: Int64) -> Codes:
        ptr = frame.graph.pool_ptr
        if ptr is None:
            raise ValueError("This program pools nodes by graph: prepare the graph with its batch.")
        values = value.astype(np.int64) + self.bias
        if self.relu:
            values = np.maximum(values, 0)
        running = np.concatenate([np.zeros((1, values.shape[1]), np.int64), np.cumsum(values, axis=0)])
        count = np.maximum(np.diff(ptr), 1)[:, None].astype(np.float64)
        means = (running[ptr[1:]] - running[ptr[:-1]]).astype(np.float64) / count
        return Codes.of(self.epilogue.apply(means), self.epilogue.out)


def logits_of(value: Any) -> Float32:
    """The last value of a program."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        raise ValueError("A program must end in float32 logits.")
    return value
