"""How many bytes an operation asks memory for: computed from its operands as they are held, not measured.

Codes of 4 or 2 bits count as they lie in memory, two or four to a byte, read and written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dqviz.integer.codes import Codes
from dqviz.integer.csr import Csr
from dqviz.integer.ops import Frame


def bytes_of_spmm(matrix: Csr, read: int, weight: int, written: int) -> int:
    """Bytes an SpMM asks for: index, weight and neighbour row of each entry, each row's offset and result.

    Neighbour rows count once an entry, so a cache that holds hubs moves less from memory. read, weight, written: bytes
    of a neighbour row, of an edge coefficient, of a row of the result.
    """
    entries = matrix.num_entries * (matrix.indices.itemsize + weight + read)
    return entries + matrix.num_rows * (matrix.indptr.itemsize + written)


def bytes_of(value: Any) -> int:
    """Bytes of a frame's value as it is held."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    held = getattr(value, "size_bytes", None)
    if held is not None:
        return int(held)
    if hasattr(value, "matrix"):
        return int(value.matrix.size_bytes)
    return int(value.pattern.size_bytes + value.values.nbytes)


def moved_by(op: Any, frame: Frame) -> int | None:
    """Bytes of one operation of a session, None where they are not known (features that come in as float)."""
    source, target = frame.values[op.source], frame.values[op.target]
    if not isinstance(source, Codes):
        return None
    matrix = frame.graph.matrices.get(op.name)
    if matrix is not None:
        return bytes_of_spmm(matrix, source.data.strides[0], coefficient_bytes(op, matrix, frame), 0) + bytes_of(target)
    held = sum(int(weight.codes.nbytes) for weight in getattr(op, "weights", ()))
    others = [frame.values[name] for name in [getattr(op, "root", None)] if name is not None]
    return held + sum(bytes_of(value) for value in (source, *others, target)) if held else None


def coefficient_bytes(op: Any, matrix: Csr, frame: Frame) -> int:
    """Bytes of one entry's coefficients; attention writes one a head and reads it again."""
    scores = getattr(op, "scores", None)
    if scores is not None:
        return int(frame.values[scores].channels)
    return 0 if matrix.weights is None else int(matrix.weights.itemsize)
