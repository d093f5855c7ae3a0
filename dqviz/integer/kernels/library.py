"""The built C library: its structs, the jobs it runs, and the threads it runs them with (kernels/c/kernels.h)."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from dqviz.quant.extension import built_library

SUMS, CODES, REALS = 0, 1, 2
"""What leaves a kernel."""
LEVELS = ("plain", "avx2", "avx2-vnni", "avx512", "neon")
"""Instruction sets, slowest first, in the order of kernels.h."""
WORDS = {"plain": "plain C", "avx2": "AVX2", "avx2-vnni": "AVX2 with VNNI", "avx512": "AVX-512 VNNI",
         "neon": "NEON dot product"}  # fmt: skip


class Finish(Structure):
    _fields_: ClassVar = [
        ("kind", c_int32), ("bits", c_int32), ("zero_point", c_int32), ("num_thresholds", c_int32),
        ("low", c_float), ("high", c_float),
        ("multiplier", c_void_p), ("offset", c_void_p), ("multiplier32", c_void_p), ("offset32", c_void_p),
        ("thresholds", c_void_p), ("rows", c_void_p), ("also", c_void_p), ("also32", c_void_p),
        ("fast", c_int32), ("tie", c_float), ("elu", c_float), ("pad", c_float),
    ]  # fmt: skip


class SpmmJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("heads", c_int32),
        ("x_bits", c_int32), ("zero", c_int32), ("nonnegative", c_int32), ("fits_int8", c_int32),
        ("own", c_double), ("ptr", c_void_p), ("indices", c_void_p), ("weights", c_void_p), ("weight_sums", c_void_p),
        ("spread", c_void_p), ("x", c_void_p), ("x_bytes", c_int64), ("rows", c_void_p),
        ("groups", c_void_p), ("head", c_void_p), ("tail", c_void_p), ("out", c_void_p), ("out_bytes", c_int64),
        ("finish", Finish),
    ]  # fmt: skip


class SpmmFloatJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("unused", c_int32),
        ("ptr", c_void_p), ("indices", c_void_p), ("weights", c_void_p), ("x", c_void_p),
        ("rows", c_void_p), ("groups", c_void_p), ("head", c_void_p), ("tail", c_void_p), ("out", c_void_p),
    ]  # fmt: skip


class GemmJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("inner", c_int32), ("channels", c_int32),
        ("x_bits", c_int32), ("zero", c_int32), ("weight_zero", c_int32), ("unused", c_int32),
        ("x", c_void_p), ("x_bytes", c_int64), ("weights", c_void_p), ("column_sums", c_void_p),
        ("num_rows", c_int64), ("out", c_void_p), ("out_bytes", c_int64), ("second", c_void_p), ("finish", Finish),
    ]  # fmt: skip


class QuantizeJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("unused", c_int32),
        ("x", c_void_p), ("inverse", c_float), ("pad", c_float),
        ("num_rows", c_int64), ("out", c_void_p), ("out_bytes", c_int64), ("finish", Finish),
    ]  # fmt: skip


class AttentionJob(Structure):
    _fields_: ClassVar = [
        ("threads", c_int32), ("heads", c_int32), ("table_first", c_int32), ("level", c_int32),
        ("inverse", c_float), ("low", c_float), ("high", c_float), ("pad", c_float),
        ("ptr", c_void_p), ("indices", c_void_p), ("source", c_void_p), ("target", c_void_p), ("stride", c_int64),
        ("table", c_void_p), ("num_rows", c_int64), ("rows", c_void_p), ("weights", c_void_p),
        ("weight_sums", c_void_p), ("live", c_void_p),
    ]  # fmt: skip


class EntriesJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("inverse", c_float), ("low", c_float), ("high", c_float),
        ("pad", c_float), ("values", c_void_p), ("ptr", c_void_p), ("num_rows", c_int64), ("weights", c_void_p),
        ("weight_sums", c_void_p),
    ]  # fmt: skip


class ChainJob(Structure):
    _fields_: ClassVar = [("threads", c_int32), ("count", c_int32), ("spmm", c_void_p), ("quantize", c_void_p),
                         ("gemms", c_void_p)]  # fmt: skip


class UnpackJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("bits", c_int32), ("x", c_void_p),
        ("x_bytes", c_int64), ("num_rows", c_int64), ("out", c_void_p),
    ]  # fmt: skip


class Operand(Structure):
    _fields_: ClassVar = [("x", c_void_p), ("x_bytes", c_int64), ("bits", c_int32), ("zero", c_int32)]


class BlendJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("lines", c_int32),
        ("first", Operand), ("second", Operand), ("num_rows", c_int64), ("out", c_void_p), ("out_bytes", c_int64),
        ("finish", Finish),
    ]  # fmt: skip


class MeetJob(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("nonnegative", c_int32), ("unused", c_int32),
        ("low", c_float), ("high", c_float), ("own", c_double), ("x", c_void_p), ("ptr", c_void_p),
        ("source", c_void_p), ("self", c_void_p), ("entries", c_void_p), ("groups", c_void_p), ("columns", c_void_p),
        ("multiplier", c_void_p), ("rows", c_void_p), ("num_rows", c_int64), ("weights", c_void_p),
        ("weight_sums", c_void_p),
    ]  # fmt: skip


class Step(Structure):
    _fields_: ClassVar = [("kind", c_int32), ("threads", c_int32), ("job", c_void_p)]


class Program(Structure):
    _fields_: ClassVar = [("threads", c_int32), ("count", c_int32), ("steps", c_void_p)]


STRUCTS = (
    Finish,
    SpmmJob,
    SpmmFloatJob,
    GemmJob,
    QuantizeJob,
    AttentionJob,
    EntriesJob,
    UnpackJob,
    Step,
    Program,
    ChainJob,
    Operand,
    BlendJob,
    MeetJob,
)
MOST_STRUCTS = 64
"""Room for the sizes that a library of later sources has, so that it is refused without writing past the end."""
ORDER = (SpmmJob, GemmJob, QuantizeJob, EntriesJob, SpmmFloatJob, AttentionJob, UnpackJob, ChainJob, BlendJob, MeetJob)
KINDS: dict[type[Structure], int] = {struct: kind for kind, struct in enumerate(ORDER)}
"""The order of SHARES in kernels.c."""


@cache
def library() -> Any:
    """The built library, or the reason why there is none, in words. DQVIZ_NATIVE: another folder (sanitizer builds)."""
    folder = Path(os.environ.get("DQVIZ_NATIVE") or Path(__file__).parent)
    loaded = built_library(folder, "_native", "native kernels")
    if isinstance(loaded, str):
        return loaded
    sizes = (c_int32 * MOST_STRUCTS)()
    loaded.dqviz_sizes(sizes)
    if list(filter(None, sizes)) != [ctypes.sizeof(struct) for struct in STRUCTS]:
        return "native kernels: built from other sources (run the set-up command again)"
    loaded.dqviz_certain.argtypes, loaded.dqviz_certain.restype = [POINTER(Finish), c_int32, c_int64], c_int32
    loaded.dqviz_run.argtypes, loaded.dqviz_run.restype = [c_void_p, POINTER(Program)], None
    loaded.dqviz_team_start.argtypes, loaded.dqviz_team_start.restype = [c_int32], c_void_p
    loaded.dqviz_team_stop.argtypes, loaded.dqviz_team_stop.restype = [c_void_p], None
    return loaded


def levels() -> list[str]:
    """Instruction sets of the library that run on this processor, slowest first."""
    if isinstance(library(), str):
        return []
    bits = library().dqviz_levels()
    return [name for index, name in enumerate(LEVELS) if bits & (1 << index)]


def instructions() -> str:
    """The instruction set that is used here, in words; '' where the library is not built."""
    here = levels()
    return WORDS[here[-1]] if here else ""


Job = tuple[Structure, int, tuple[Any, ...]]
"""A job, its threads, and what its pointers point into."""


class Tape:
    """Jobs that are run one after the other, with no Python between them, by the threads of a team."""

    def __init__(self, jobs: Sequence[Job], team: int | None) -> None:
        self.jobs, self._team = jobs, team
        steps = [Step(KINDS[type(job)], threads, ctypes.addressof(job)) for job, threads, _ in jobs]
        self._steps = (Step * len(steps))(*steps)
        most = max((step.threads for step in steps), default=1)
        self._program = Program(most, len(steps), ctypes.addressof(self._steps))
        self._run = library().dqviz_run

    def play(self) -> None:
        self._run(self._team, self._program)


def team_of(owner: object, others: int) -> int:
    """Threads that wait for the owner's programs and end with it. Raises MemoryError where the system gives none."""
    team = library().dqviz_team_start(others)
    if team is None:
        raise MemoryError(f"The system gave no {others} threads for integer kernels.")
    weakref.finalize(owner, library().dqviz_team_stop, team)
    return int(team)


def address(array: npt.NDArray[Any] | None) -> int | None:
    """Where a C-contiguous array begins (`array.ctypes.data` takes five times as long)."""
    return None if array is None else int(array.__array_interface__["data"][0])
