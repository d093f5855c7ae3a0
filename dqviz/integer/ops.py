"""The operations of an integer program. Each is a frozen value that reads and writes named values of a frame."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from dqviz.integer.codes import Codes, Float32, Float64, Grid, Int64, narrow, quantize
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize, elu_steps
from dqviz.integer.graph import Edges, Features, Prepared, SparseRows
from dqviz.integer.kernels import Backend
from dqviz.integer.softmax import Softmax
from dqviz.integer.weight import Weight

REQUANTIZATION = "requantization: one multiplication, addition and rounding a value"
FRACTION = 256
"""Parts of a step that a pool adds in."""
LARGEST_STEP = 2**40
"""Where a fixed-point value is clipped: far beyond any grid, and 2^22 nodes of it fit int64."""
FIXED_POINT = "one multiplication and addition a value, to fixed-point numbers for the pool"
SOFTMAX = "softmax: exponentials from a table, their sums in float64, one division an edge and head"


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

    def rows(self, edges: Edges) -> Float64 | None:
        """A factor of each row of its result, made once for a graph."""
        return None

    @property
    def out(self) -> Grid | None:
        """Grid of the codes this operation writes; None where it writes sums or logits."""
        epilogue = getattr(self, "epilogue", None)
        return epilogue.out if isinstance(epilogue, Requantize) else None

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The quantized weights it holds."""
        return ()

    @property
    def sites(self) -> list[Grid]:
        """Every grid that it reads or writes by itself."""
        return [grid for grid in [self.out, *(weight.params for weight in self.weights)] if grid is not None]

    @property
    def float_part(self) -> str:
        """Which part is float arithmetic, in words."""
        if getattr(self, "epilogue", "") is None:
            return "nothing: sums stay integers"
        return REQUANTIZATION if self.out else "logits leave as float32" if self.target == "logits" else FIXED_POINT


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
        return multiplied(frame, value, self.weight, self.epilogue)

    @property
    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)


def multiplied(frame: Frame, value: Codes | SparseCodes, weight: Weight, epilogue: Epilogue | None) -> Any:
    """Dense or sparse rows times a weight."""
    if isinstance(value, SparseCodes):
        return frame.backend.spmm(value.matrix, weight.rows, epilogue=epilogue)
    return frame.backend.gemm(value, weight, epilogue)


@dataclass(frozen=True, eq=False)
class Pair(Op):
    """Two products added in one epilogue: of the value read and of value `root` (SAGE's own rows)."""

    weight: Weight
    root: str
    root_weight: Weight
    epilogue: Epilogue | None
    kind: ClassVar[str] = "gemm"

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Any:
        root = frame.values[self.root]
        if self.epilogue is None:
            raise ValueError("Sums of two scales cannot stay integers.")
        if isinstance(value, SparseCodes) or isinstance(root, SparseCodes):
            first = multiplied(frame, value, self.weight, None)
            return frame.backend.combine(first, multiplied(frame, root, self.root_weight, None), self.epilogue)
        return frame.backend.gemm_pair(value, self.weight, root, self.root_weight, self.epilogue)

    @property
    def weights(self) -> tuple[Weight, ...]:
        return (self.weight, self.root_weight)


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

    @property
    def sites(self) -> list[Grid]:
        return [*super().sites, self.norm]


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
class Mean(Op):
    """Plain mean of neighbours, requantized: a sum whose rows are divided by their number of edges (SAGE)."""

    epilogue: Requantize
    kind: ClassVar[str] = "mean"

    def matrix(self, edges: Edges) -> Csr:
        return edges.plain()

    def rows(self, edges: Edges) -> Float64:
        return edges.mean_factors()

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Any:
        matrix = frame.graph.matrices[self.name]
        epilogue = replace(self.epilogue, rows=frame.graph.rows[self.name])
        if isinstance(value, SparseCodes):
            return SparseCodes(frame.backend.sum_sparse(matrix, value.matrix, 0.0, epilogue), epilogue.out)
        return frame.backend.spmm(matrix, value, epilogue=epilogue)


@dataclass(frozen=True, eq=False)
class Scores(Op):
    """Dot products of each row with the attention vectors of every head: codes [num_nodes, 2 heads] of ALPHA.

    `products`: one with both vectors' outputs, or one for each vector; `vectors` are the grids of both.
    """

    products: tuple[tuple[Weight, Requantize], ...]
    vectors: tuple[Grid, ...]
    kind: ClassVar[str] = "gemm"

    def result(self, frame: Frame, value: Codes) -> Codes:
        parts = [frame.backend.gemm(value, *product) for product in self.products]
        codes = [part.values for part in parts if isinstance(part, Codes)]
        return Codes.of(np.concatenate(codes, axis=1), self.out)

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

    def matrix(self, edges: Edges) -> Csr:
        return edges.with_loops() if self.add_self_loops else edges.plain()

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


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Mean over the nodes of each graph of sums + bias (after ReLU): added in int64, divided and rounded once.

    `bias` int64 [channels] is in 1 / FRACTION of the sums' step (S1 S2 of Jacob et al., which is coarse at 2 bits).
    """

    bias: Int64
    relu: bool
    epilogue: Requantize
    kind: ClassVar[str] = "pool"

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


def logits_of(value: Any) -> Float32:
    """The last value of a program."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        raise ValueError("A program must end in float32 logits.")
    return value
