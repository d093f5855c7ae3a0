"""How many bytes an operation asks memory for: computed from its operands, not measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from dqviz.integer.csr import Csr
from dqviz.integer.ops import Frame, Gemm, Op, Spmm, Sum


def bytes_of_spmm(matrix: Csr, features: int, weight: int, value: int, out: int) -> int:
    """Bytes an SpMM asks for: index, weight and neighbour row of each entry, each row's offset and result.

    Neighbour rows count once an entry, so a cache that holds hubs moves less from memory. weight, value, out: bytes of
    one edge coefficient, one feature, one result.
    """
    entries = matrix.num_entries * (matrix.indices.itemsize + weight + features * value)
    return entries + matrix.num_rows * (matrix.indptr.itemsize + features * out)


def bytes_of(value: Any) -> int:
    """Bytes of a frame's value as it is held."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    matrix = getattr(value, "matrix", None)
    return int(value.size_bytes if matrix is None else matrix.size_bytes)


def moved_by(op: Op, frame: Frame) -> int | None:
    """Bytes of one operation of a session, None where features come in as float."""
    source, target = frame.values[op.source], frame.values[op.target]
    if isinstance(op, Spmm | Sum) and hasattr(source, "size_bytes"):
        matrix, channels = frame.graph.matrices[op.name], int(source.values.shape[1])
        weight = 0 if matrix.weights is None else int(matrix.weights.itemsize)
        return bytes_of_spmm(matrix, channels, weight, 1, 1) - matrix.num_rows * channels + bytes_of(target)
    if isinstance(op, Gemm) and hasattr(source, "size_bytes"):
        return bytes_of(source) + int(op.weight.codes.nbytes) + bytes_of(target)
    return None
