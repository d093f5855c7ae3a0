"""Jobs of the native kernels written to a file, with what lies in memory before and after, for processors that are not
here (replay.c runs them again)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import Structure, c_void_p
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pytest

from dqviz.integer.kernels import entries, finishing, native, operands
from dqviz.integer.kernels.library import KINDS, GemmJob
from dqviz.integer.kernels.native import Native

Part = tuple[int, int]
"""Address and bytes of a piece of memory."""


class Recorder(Native):
    """Plain C kernels that keep every job: its kind, its arrays before and after, and where its pointers point."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, "plain")
        self.arrays: dict[int, npt.NDArray[Any]] = {}
        self.jobs: list[bytes] = []

    def note(self, array: npt.NDArray[Any] | None) -> int | None:
        """The address of an array, which is kept: no other one comes to lie there."""
        if array is None:
            return None
        start = int(array.ctypes.data)
        if start not in self.arrays or self.arrays[start].nbytes < array.nbytes:
            self.arrays[start] = array
        return start

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Whatever address is asked for is noted."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "address", self.note)
            patch.setattr(finishing, "address", self.note)
            patch.setattr(operands, "address", self.note)
            patch.setattr(entries, "address", self.note)
            yield

    def do(self, job: Structure, threads: int, *kept: Any) -> None:
        for array in arrays_in(kept):  # an epilogue keeps its struct, whose arrays may be older than this recorder
            self.note(array)
        others = [part for part in kept if isinstance(part, GemmJob) and part is not job]  # a second product
        structs: list[Structure] = [job, *others]
        parts = {ctypes.addressof(struct): ctypes.sizeof(struct) for struct in structs}
        places: list[tuple[int, int, int, int]] = []
        for index, struct in enumerate(structs):
            for offset, pointer in pointers(struct):
                start = pointer if pointer in parts else self.start_of(pointer)
                parts.setdefault(start, self.arrays[start].nbytes if start in self.arrays else 0)
                places.append((index, offset, list(parts).index(start), pointer - start))
        before = [ctypes.string_at(*part) for part in parts.items()]
        super().do(job, threads, *kept)
        after = [ctypes.string_at(*part) for part in parts.items()]
        head = (KINDS[type(job)], threads, type(job).level.offset, len(parts))
        memory = [number(len(old)) + old + new for old, new in zip(before, after, strict=True)]
        numbers = b"".join(number(value) for row in places for value in row)
        self.jobs.append(b"".join([*map(number, head), *memory, number(len(places)), numbers]))

    def start_of(self, pointer: int) -> int:
        """Where the array begins that holds this address."""
        if pointer in self.arrays:
            return pointer
        return next(start for start, array in self.arrays.items() if start < pointer < start + array.nbytes)

    def write(self, file: BinaryIO) -> int:
        """Number of jobs written."""
        file.write(number(len(self.jobs)) + b"".join(self.jobs))
        return len(self.jobs)


def arrays_in(kept: Any) -> Iterator[npt.NDArray[Any]]:
    """Arrays of nested tuples and lists."""
    for one in kept if isinstance(kept, (tuple, list)) else ():
        if isinstance(one, np.ndarray):
            yield one
        else:
            yield from arrays_in(one)


def number(value: int) -> bytes:
    return int(np.int64(value)).to_bytes(8, "little", signed=True)


def pointers(struct: Structure, base: int = 0) -> Iterator[Part]:
    """(offset, address) of every pointer of a struct that is not NULL, structs inside it included."""
    for name, kind in struct._fields_:  # type: ignore[misc]
        value, offset = getattr(struct, name), base + getattr(type(struct), name).offset
        if isinstance(value, Structure):
            yield from pointers(value, offset)
        elif kind is c_void_p and value:
            yield offset, int(value)
