"""What a file says about its arrays, checked before a byte of them is read: names, types, shapes, sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dqviz.data.arrays import Array
from dqviz.errors import BadInput

LARGEST_BYTES = 50_000_000
"""Of all files of an upload together (FAULTS.md)."""

LARGEST_DECLARED = 256_000_000
"""Of all arrays unpacked: with float32 copies and the interpreter it stays under the parser's 1 GiB."""

NAMES = ("edge_index", "x", "y", "train_mask", "val_mask", "test_mask")


@dataclass(frozen=True)
class Declared:
    """One array as its header describes it."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    column_major: bool = False

    @property
    def size_bytes(self) -> int:
        # Python integers: a product of shapes cannot overflow.
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, content: bytes) -> Array:
        """The array over `content`, which holds exactly `size_bytes`."""
        if self.dtype.kind != "b":
            numbers: Array = np.frombuffer(content, dtype=self.dtype).astype(self.dtype.newbyteorder("="))
            return self.shaped(numbers)
        # Bytes other than 0 and 1 are no booleans; reading them as such would be undefined.
        raw: Array = np.frombuffer(content, dtype=np.uint8)
        if raw.size and raw.max() > 1:
            raise BadInput(f"{self.name} is not a valid array of booleans.")
        return self.shaped(raw != 0)

    def shaped(self, flat: Array) -> Array:
        return flat.reshape(self.shape[::-1]).T if self.column_major else flat.reshape(self.shape)


def check_name(name: str) -> str:
    if name not in NAMES:
        raise BadInput(f"The upload holds an array {name[:60]!r}; it may hold {', '.join(NAMES)}.")
    return name


def check_sizes(declared: Iterable[Declared]) -> None:
    """Raises BadInput when an array has more than 2 axes or all together are too large to unpack."""
    total = 0
    for array in declared:
        if not 1 <= len(array.shape) <= 2:
            raise BadInput(f"{array.name} has {len(array.shape)} axes instead of 1 or 2.")
        if max(array.shape) > LARGEST_DECLARED:
            raise BadInput(f"{array.name} declares {max(array.shape)} rows or columns; that is too many.")
        total += array.size_bytes
    check_total(total)


def check_total(total: int) -> None:
    if total > LARGEST_DECLARED:
        raise BadInput(
            f"The upload declares {megabytes(total)} of arrays; the most that is unpacked is "
            f"{megabytes(LARGEST_DECLARED)}."
        )


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB" if size_bytes >= 1_000_000 else f"{size_bytes} bytes"
