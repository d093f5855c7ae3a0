"""The one signature of a kernel backend, and the registry.

All operands hold codes; the result is exact: `reference` computes it in int64, and every other backend must give the
same bits. Without an epilogue a kernel returns its sums (int32, or int64 where int32 could overflow).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dqviz.errors import Unavailable
from dqviz.integer.codes import Accumulator, Codes, Float32, Grid, Int32, Int64, narrow, quantize
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Dequantize, Epilogue, Requantize
from dqviz.integer.graph import SparseRows
from dqviz.integer.softmax import Softmax
from dqviz.integer.weight import Weight
from dqviz.registry import Registry

INT32_MAX = 2**31 - 1
Output = Accumulator | Codes | Float32
"""Sums without an epilogue, codes of Requantize, reals of Dequantize."""


class Backend(ABC):
    """Kernels of one kind. `threads` is a property of the object, never of the process."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    @classmethod
    def missing(cls) -> str:
        """Why this backend cannot run here, in words; '' where it can."""
        return ""

    @classmethod
    def available(cls) -> bool:
        return not cls.missing()

    @abstractmethod
    def quantize(self, x: Float32, params: Grid) -> Codes:
        """Codes of float32 x [rows, channels] with the rounding of `dqviz.quant.functional`."""

    def quantize_entries(self, x: SparseRows, params: Grid) -> Csr:
        """Centred codes of the stored entries of sparse float rows; what is not stored is an exact zero."""
        centred = quantize(x.values, params).astype(np.int64) - params.zero_point
        return replace(x.pattern, weights=narrow(centred))

    def record(self) -> None:  # noqa: B027
        """From now on keep what is run, where this backend can (see `recorded`)."""

    def recorded(self) -> Callable[[], None] | None:
        """Runs again what was run since `record`, on the same arrays; None where some of it was done otherwise."""
        return None

    @abstractmethod
    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        """Row v: sum over entries (u, w) of w (x[u] - z), plus own (x[v] - z), z the zero point of x.

        x [num_cols, channels] -> [num_rows, channels].
        `own` (GIN's 1 + eps) needs a Requantize epilogue and a square matrix. Where the matrix has heads, w is the
        weight of the channel's head. Steps that differ by row of x must be in the weights (`Edges.normalised`).
        """

    @abstractmethod
    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        """(x - z) (weight - weight.zero): x [rows, in_channels] -> [rows, out_channels]."""

    @abstractmethod
    def sum_sparse(self, matrix: Csr, x: Csr, own: float, epilogue: Requantize) -> Csr:
        """Unweighted sum of sparse rows plus own times the row itself, requantized; the result is centred.

        x holds centred codes. Only for an epilogue that maps 0 to 0 (no offset): sparse stays sparse.
        """

    @abstractmethod
    def attention(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Csr:
        """The matrix with weights uint8 [entries, heads]: softmax over each row's entries (`dqviz.integer.softmax`).

        scores [num_nodes, 2 heads]: codes of what each node adds as a source, then as a target.
        """

    def attend(
        self, matrix: Csr, x: Codes, scores: Codes, softmax: Softmax, epilogue: Epilogue | None = None
    ) -> Output:
        """Sums of x [num_nodes, channels] weighted by attention; channels are split evenly among the heads."""
        return self.spmm(self.attention(matrix, scores, softmax), x, epilogue=epilogue)

    def gemm_pair(
        self, first: Codes, first_weight: Weight, second: Codes, second_weight: Weight, epilogue: Epilogue
    ) -> Output:
        """Two dense products with as many outputs, added in the epilogue: `multiplier` and `also` (SAGE)."""
        return self.combine(self.gemm(first, first_weight), self.gemm(second, second_weight), epilogue)

    def gemms_beside(self, x: Codes, products: Sequence[tuple[Weight, Requantize]]) -> Codes:
        """Dense products of one x, codes of one grid side by side: [rows, all their channels] (GAT)."""
        parts = [self.gemm(x, *product) for product in products]
        codes = [part.values for part in parts if isinstance(part, Codes)]
        return Codes.of(np.concatenate(codes, axis=1), products[0][1].out)

    def combine(self, first: Any, second: Any, epilogue: Epilogue) -> Output:
        """The epilogue of what is at hand: codes, or int32 or int64 sums [rows, channels]; `second` may be None."""
        first, second = centred(first), None if second is None else centred(second)
        if isinstance(epilogue, Requantize):
            return Codes.of(epilogue.apply(first, second), epilogue.out)
        return epilogue.apply(first, second)


def centred(value: Any) -> Any:
    """Sums as they are; of codes code - zero_point, int32 [rows, channels]."""
    if not isinstance(value, Codes):
        return value
    found: Int32 = value.values.astype(np.int32) - np.int32(value.params.zero_point)
    return found


def accumulator(bound: int) -> type[np.int32] | type[np.int64]:
    """Narrowest type of sums whose magnitude stays within `bound`: the plan widens rather than overflows."""
    return np.int32 if bound <= INT32_MAX else np.int64


def finish(acc: Int64, epilogue: Epilogue | None, bound: int) -> Output:
    """The epilogue as numpy computes it; sums themselves in their narrowest safe type."""
    if isinstance(epilogue, Requantize):
        return Codes.of(epilogue.apply(acc), epilogue.out)
    if epilogue is not None:
        return epilogue.apply(acc)
    return acc.astype(np.int32) if accumulator(bound) is np.int32 else acc


def need_requantize(epilogue: Epilogue | None, own: float) -> None:
    if own != 0.0 and not isinstance(epilogue, Requantize):
        raise ValueError("A node's own term is added in the epilogue: give a Requantize.")


def need_no_offset(epilogue: Requantize) -> None:
    if np.any(epilogue.offset):
        raise ValueError("A sparse sum must map 0 to 0: its epilogue cannot have an offset.")


BACKENDS: Registry[Backend] = Registry("kernel backend")


def make(name: str, threads: int = 1) -> Backend:
    """The backend of that name. BadInput for an unknown name, Unavailable where it cannot run here."""
    entry = BACKENDS[name]
    reason = entry.facts["class"].missing()
    if reason:
        raise Unavailable(f"Kernel backend {name!r} is not available: {reason}.")
    return entry.make(threads)


def best() -> str:
    """Name of the fastest backend that runs here: the last one registered that is available."""
    return [entry.name for entry in BACKENDS if entry.facts["class"].available()][-1]


__all__ = ["BACKENDS", "Backend", "Dequantize", "Epilogue", "Output", "Requantize", "accumulator", "best", "make"]
