"""Packing: codes of 4 or fewer bits two or four to a byte.

Each code is stored as the unsigned field code - qmin. A row of `channels` codes takes P = ceil(channels / per_byte)
bytes; byte j holds the fields of features j, j + P, j + 2P, ... from its lowest bits up. So masking a vector of bytes
gives the fields of consecutive features, and a row is at most per_byte - 1 fields longer than its codes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dqviz.integer import memory


def per_byte(bits: int) -> int:
    """How many codes share a byte: 2 bits four, 3 and 4 bits two, more one."""
    return 4 if bits <= 2 else 2 if bits <= 4 else 1


def held_bits(bits: int) -> int:
    """The width that kernels see: codes of 5 to 7 bits lie as whole bytes, like those of 8."""
    return bits if per_byte(bits) > 1 else 8


def row_bytes(channels: int, bits: int) -> int:
    return -(-channels // per_byte(bits))


def pack(values: npt.NDArray[np.int8], bits: int) -> npt.NDArray[np.uint8]:
    """int8 [rows, channels] -> uint8 [rows, row_bytes]."""
    rows, channels = values.shape
    planes, length = per_byte(bits), row_bytes(channels, bits)
    fields = np.zeros((rows, planes * length), np.uint8)
    fields[:, :channels] = values.astype(np.int16) + (1 << (bits - 1))
    out: npt.NDArray[np.uint8] = memory.empty((rows, length), np.uint8)
    out[...] = 0
    for plane in range(planes):
        out |= fields[:, plane * length : (plane + 1) * length] << (8 // planes * plane)
    return out


def unpack(data: npt.NDArray[np.uint8], channels: int, bits: int) -> npt.NDArray[np.int8]:
    """uint8 [rows, row_bytes] -> int8 [rows, channels]."""
    planes = per_byte(bits)
    width = 8 // planes
    fields = [(data >> (width * plane)) & ((1 << width) - 1) for plane in range(planes)]
    codes: npt.NDArray[np.int8] = (
        np.concatenate(fields, axis=1)[:, :channels].astype(np.int16) - (1 << (bits - 1))
    ).astype(np.int8)
    return codes
