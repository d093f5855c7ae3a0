"""The operations of an integer program. Each is a frozen value that reads and writes named values of a frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, ClassVar, TypeVar

import numpy as np

from dqviz.integer.codes import Codes, Float32, Float64, Grid, Int64
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.graph import Edges, Features, Prepared, SparseRows
from dqviz.integer.kernels import Backend
from dqviz.integer.steps import NodeSteps, ReachSteps
from dqviz.integer.weight import Weight

REQUANTIZATION = "requantization: one multiplication, addition and rounding a value"
FIXED_POINT = "one multiplication and addition a value, to fixed-point numbers for the pool"


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
    replay: Callable[[], None] | None = None
    """Runs all operations again without Python between them; there once a run has been recorded."""


@dataclass(frozen=True, eq=False)
class Op:
    """`name` as it stands in timing tables; reads value `source`, writes value `target`."""

    name: str
    source: str
    target: str
    kind: ClassVar[str]

    def in_kernels(self, graph: Prepared) -> bool:
        """Whether kernels of the backend do all of its work on this graph."""
        return True

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
    """Float features to codes; `steps`: rows have steps of their own, the graph's or made of the row's values.

    The latter go with the codes (`Grid.rows`).
    """

    grid: Grid
    steps: NodeSteps | ReachSteps | None = None
    kind: ClassVar[str] = "quantize"

    def rows(self, edges: Edges) -> Float64 | None:
        return inverse(self.steps.of(edges)) if isinstance(self.steps, NodeSteps) else None

    def result(self, frame: Frame, value: Features) -> Codes | SparseCodes:
        factor, grid = frame.graph.rows.get(self.name), self.grid
        if isinstance(self.steps, ReachSteps):
            steps = self.steps.of(value)
            factor, grid = inverse(steps), replace(grid, rows=steps)
        if factor is not None:
            value = scaled(value, factor.astype(np.float32))
        if isinstance(value, SparseRows):
            return SparseCodes(frame.backend.quantize_entries(value, self.grid), grid)
        return replace(frame.backend.quantize(value, self.grid), params=grid)

    @property
    def out(self) -> Grid:
        return self.grid

    @property
    def float_part(self) -> str:
        return "reads float32 features"


Finish = TypeVar("Finish", bound=Epilogue | None)


def by_rows(frame: Frame, name: str, epilogue: Finish) -> Finish:
    """The epilogue of operation `name` with the factors that the rows of this graph have."""
    rows = frame.graph.rows.get(name)
    return epilogue if epilogue is None or rows is None else replace(epilogue, rows=rows)


def carried(value: Codes | SparseCodes, epilogue: Finish) -> Finish:
    """The epilogue with the steps of the rows of the value that is read, where they came with it."""
    steps = value.params.rows
    if epilogue is None or steps is None:
        return epilogue
    rows = steps.astype(np.float64) * (1.0 if epilogue.rows is None else epilogue.rows)
    return replace(epilogue, rows=rows)


def inverse(steps: Float32) -> Float64:
    """1 / step, rounded to float32 once: fake quantization multiplies by it."""
    found: Float64 = (np.float32(1) / steps).astype(np.float64)
    return found


def scaled(x: Features, factor: Float32) -> Features:
    """Each row times its factor [rows]."""
    if isinstance(x, SparseRows):
        return SparseRows(x.pattern, x.values * factor[x.pattern.row_of_entry()])
    return x * factor[:, None]


@dataclass(frozen=True, eq=False)
class Gemm(Op):
    """Dense product with the weight of a linear layer; sparse rows stay sparse and integer.

    `before`, `steps`: rows of the value read, and of the result, have steps of their own.
    """

    weight: Weight
    epilogue: Epilogue | None
    before: NodeSteps | None = None
    steps: NodeSteps | None = None
    kind: ClassVar[str] = "gemm"

    def rows(self, edges: Edges) -> Float64 | None:
        factors = [] if self.before is None else [self.before.of(edges).astype(np.float64)]
        factors += [] if self.steps is None else [inverse(self.steps.of(edges))]
        return reduce(np.multiply, factors) if factors else None

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Any:
        return multiplied(frame, value, self.weight, carried(value, by_rows(frame, self.name, self.epilogue)))

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
    """Neighbours weighted by quantized edge coefficients (GCN), which absorb the `steps` of nodes where there are."""

    norm: Grid
    improved: bool
    add_self_loops: bool
    epilogue: Epilogue | None
    steps: NodeSteps | None = None
    kind: ClassVar[str] = "spmm"

    def matrix(self, edges: Edges) -> Csr:
        if self.steps is None:
            return edges.normalised(self.norm, self.improved, self.add_self_loops)
        return edges.folded(self.norm, self.improved, self.add_self_loops, self.steps.of(edges))

    def rows(self, edges: Edges) -> Float64 | None:
        if self.steps is None:
            return None
        *_, own = edges.absorbed(self.norm, self.improved, self.add_self_loops, self.steps.of(edges))
        return own.astype(np.float64)

    def result(self, frame: Frame, value: Codes) -> Any:
        return frame.backend.spmm(frame.graph.matrices[self.name], value,
                                  epilogue=by_rows(frame, self.name, self.epilogue))  # fmt: skip

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
        return edges.plain

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
        return edges.plain

    def rows(self, edges: Edges) -> Float64:
        return edges.mean_factors

    def result(self, frame: Frame, value: Codes | SparseCodes) -> Any:
        matrix = frame.graph.matrices[self.name]
        epilogue = by_rows(frame, self.name, self.epilogue)
        if isinstance(value, SparseCodes):
            return SparseCodes(frame.backend.sum_sparse(matrix, value.matrix, 0.0, epilogue), epilogue.out)
        return frame.backend.spmm(matrix, value, epilogue=epilogue)


def logits_of(value: Any) -> Float32:
    """The last value of a program."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        raise ValueError("A program must end in float32 logits.")
    return value
