"""Operands of the native kernels as the C library takes them (kernels/c/kernels.h)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Codes
from dqviz.integer.epilogue import Epilogue
from dqviz.integer.kernels.finishing import LANES
from dqviz.integer.kernels.library import Operand, address

TILE = 64
"""Outputs, or features, that lie side by side in a vector."""


def shape_of(value: Any) -> tuple[int, int]:
    """Rows and channels of codes or of sums."""
    return (len(value.data), value.channels) if isinstance(value, Codes) else value.shape


def takes(value: Any) -> bool:
    """Whether `operand` can tell of it: codes or int32 sums, whose rows have no gaps."""
    array = value.data if isinstance(value, Codes) else value
    return array.dtype.itemsize == array.strides[1] and (isinstance(value, Codes) or array.dtype == np.int32)


def operand(value: Any) -> Operand:
    """Codes or int32 sums as the C library takes them; nothing for None."""
    if value is None:
        return Operand()
    if not isinstance(value, Codes):
        return Operand(address(value), value.strides[0], 32, 0)
    bits = value.params.bits if value.is_packed else 8
    return Operand(address(value.data), value.data.strides[0], bits, value.params.zero_point)


def repeated(epilogue: Epilogue, channels: int, lines: int) -> Epilogue:
    """The epilogue of `lines` rows behind each other; it is kept by the one it is of, as its struct is."""
    known: dict[tuple[int, int], Epilogue] = epilogue.__dict__.setdefault("_repeated", {})
    if (channels, lines) not in known:
        parts = {name: getattr(epilogue, name) for name in ("multiplier", "offset", "also")}
        wide: dict[str, Any] = {name: np.tile(np.broadcast_to(values, (channels,)), lines)
                                for name, values in parts.items() if values is not None}  # fmt: skip
        known[channels, lines] = replace(epilogue, **wide)
    return known[channels, lines]


@cache
def spread_of(channels: int, heads: int) -> npt.NDArray[np.uint8]:
    """Which byte of a group's weights [4, heads] each byte of an int8 accumulator needs: uint8 [vectors, 4, 64].

    The lanes of a part stand for features in the order of `feature_of` in avx512_sparse.c.
    """
    vectors = -(-channels // TILE)
    vector, part, lane = np.ogrid[:vectors, :4, :LANES]
    planar = 64 * vector + 16 * (lane // 4) + 4 * part + lane % 4
    feature = planar if channels > TILE // 2 else 16 * part + lane
    head = np.where(feature < channels, feature // (channels // heads), 0)
    return np.ascontiguousarray(head[..., None] + heads * np.arange(4), np.uint8).reshape(vectors, 4, TILE)
