"""The one signature of a kernel backend, and the registry.

All operands hold codes; the result is exact: `reference` computes it in int64, and every other backend must give the
same bits. Without an epilogue a kernel returns its sums (int32, or int64 where int32 could overflow).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from dqviz.errors import Unavailable
from dqviz.integer.codes import Accumulator, Codes, Float32, Grid, Int64
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Dequantize, Epilogue, Requantize
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

    @abstractmethod
    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        """Row v: sum over entries (u, w) of w (x[u] - z), plus own (x[v] - z); x [num_cols, channels], z its zero point.

        `own` (GIN's 1 + eps) needs a Requantize epilogue and a square matrix.
        """

    @abstractmethod
    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        """(x - z) (weight - weight.zero): x [rows, in_channels] -> [rows, out_channels]."""

    @abstractmethod
    def sum_sparse(self, matrix: Csr, x: Csr, own: float, epilogue: Requantize) -> Csr:
        """Unweighted sum of sparse rows plus own times the row itself, requantized; result centred, zeros dropped.

        x holds centred codes. Only for an epilogue that maps 0 to 0 (no offset): sparse stays sparse.
        """


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
