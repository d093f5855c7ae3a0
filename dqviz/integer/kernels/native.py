"""native: C kernels with the best instructions of this processor (kernels/c), called through ctypes.

Features of 4 and 2 bits stay packed in memory and are unpacked in registers. The library is an optional extension that
the set-up command builds where there is a C compiler; without it, or for what it does not take (weights wider than a
byte, sums beyond int32), the numba kernels do the work.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import replace
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Codes, Float32, Grid, in_own_steps
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.graph import SparseRows
from dqviz.integer.kernels.base import INT32_MAX, Backend, Output, need_requantize
from dqviz.integer.kernels.buffers import Buffers
from dqviz.integer.kernels.parallel import Numba
from dqviz.integer.packing import row_bytes
from dqviz.integer.quads import GROUP, Quads
from dqviz.integer.softmax import Softmax
from dqviz.integer.weight import Weight
from dqviz.registry import Entry

SUMS, CODES, REALS = 0, 1, 2
LEVELS = ("plain", "avx2", "avx512")
LANES, TILE, MAX_HEADS = 16, 64, 16
LARGE = 2048
"""Offsets (in steps) below which float32 decides a code that is not near a tie (avx512.c)."""
SMALL = 1 << 15
"""Products below which a second thread costs more than it saves (calling one takes some microseconds)."""


class _Finish(Structure):
    _fields_: ClassVar = [
        ("kind", c_int32), ("bits", c_int32), ("zero_point", c_int32), ("num_thresholds", c_int32),
        ("low", c_float), ("high", c_float),
        ("multiplier", c_void_p), ("offset", c_void_p), ("multiplier32", c_void_p), ("offset32", c_void_p),
        ("thresholds", c_void_p), ("rows", c_void_p), ("also", c_void_p), ("fast", c_int32), ("tie", c_float),
    ]  # fmt: skip


class _Spmm(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("heads", c_int32),
        ("x_bits", c_int32), ("zero", c_int32), ("nonnegative", c_int32), ("fits_int8", c_int32),
        ("own", c_double), ("ptr", c_void_p), ("indices", c_void_p), ("weights", c_void_p), ("weight_sums", c_void_p),
        ("spread", c_void_p), ("x", c_void_p), ("x_bytes", c_int64), ("rows", c_void_p),
        ("groups", c_void_p), ("head", c_void_p), ("tail", c_void_p), ("out", c_void_p), ("out_bytes", c_int64),
        ("finish", _Finish),
    ]  # fmt: skip


class _SpmmFloat(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("unused", c_int32),
        ("ptr", c_void_p), ("indices", c_void_p), ("weights", c_void_p), ("x", c_void_p),
        ("rows", c_void_p), ("groups", c_void_p), ("head", c_void_p), ("tail", c_void_p), ("out", c_void_p),
    ]  # fmt: skip


class _Gemm(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("inner", c_int32), ("channels", c_int32),
        ("x_bits", c_int32), ("zero", c_int32), ("weight_zero", c_int32), ("unused", c_int32),
        ("x", c_void_p), ("x_bytes", c_int64), ("weights", c_void_p), ("column_sums", c_void_p),
        ("num_rows", c_int64), ("out", c_void_p), ("out_bytes", c_int64), ("second", c_void_p), ("finish", _Finish),
    ]  # fmt: skip


class _Quantize(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("unused", c_int32),
        ("x", c_void_p), ("inverse", c_float), ("pad", c_float),
        ("num_rows", c_int64), ("out", c_void_p), ("out_bytes", c_int64), ("finish", _Finish),
    ]  # fmt: skip


class _Attention(Structure):
    _fields_: ClassVar = [
        ("threads", c_int32), ("heads", c_int32), ("table_first", c_int32), ("zero_point", c_int32),
        ("inverse", c_float), ("low", c_float), ("high", c_float), ("pad", c_float),
        ("ptr", c_void_p), ("indices", c_void_p), ("source", c_void_p), ("target", c_void_p), ("table", c_void_p),
        ("num_rows", c_int64), ("rows", c_void_p), ("weights", c_void_p), ("weight_sums", c_void_p), ("live", c_void_p),
    ]  # fmt: skip


class _Entries(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("inverse", c_float), ("low", c_float), ("high", c_float),
        ("pad", c_float), ("values", c_void_p), ("ptr", c_void_p), ("num_rows", c_int64), ("weights", c_void_p),
        ("weight_sums", c_void_p),
    ]  # fmt: skip


class _Step(Structure):
    _fields_: ClassVar = [("kind", c_int32), ("threads", c_int32), ("job", c_void_p)]


class _Program(Structure):
    _fields_: ClassVar = [("threads", c_int32), ("count", c_int32), ("steps", c_void_p)]


STRUCTS = (_Finish, _Spmm, _SpmmFloat, _Gemm, _Quantize, _Attention, _Entries, _Step, _Program)
KINDS: dict[type[Structure], int] = {_Spmm: 0, _Gemm: 1, _Quantize: 2, _Entries: 3, _SpmmFloat: 4, _Attention: 5}
"""The order of SHARES in kernels.c."""


@cache
def library() -> Any:
    """The built library, or the reason why there is none, in words. DQVIZ_NATIVE: another folder (sanitizer builds)."""
    folder = Path(os.environ.get("DQVIZ_NATIVE") or Path(__file__).parent)
    found = [path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_native{suffix}").exists()]
    if not found:
        return "native kernels: not built (no compiler)"
    try:
        loaded = ctypes.CDLL(str(found[0]))
    except OSError as error:
        return f"native kernels: built, but not loaded ({error})"
    sizes = (c_int32 * len(STRUCTS))()
    loaded.dqviz_sizes(sizes)
    if list(sizes) != [ctypes.sizeof(struct) for struct in STRUCTS]:
        return "native kernels: built from other sources (run the set-up command again)"
    loaded.dqviz_run.argtypes, loaded.dqviz_run.restype = [c_void_p, POINTER(_Program)], None
    loaded.dqviz_team_start.argtypes, loaded.dqviz_team_start.restype = [c_int32], c_void_p
    loaded.dqviz_team_stop.argtypes, loaded.dqviz_team_stop.restype = [c_void_p], None
    return loaded


def levels() -> list[str]:
    """Instruction sets of the library that run on this processor, slowest first."""
    if isinstance(library(), str):
        return []
    bits = library().dqviz_levels()
    return [name for index, name in enumerate(LEVELS) if bits & (1 << index)]


Job = tuple[Structure, int, tuple[Any, ...]]
"""A job, its threads, and what its pointers point into."""


class Tape:
    """Jobs that are run one after the other, with no Python between them, by the threads of a team."""

    def __init__(self, jobs: Sequence[Job], team: int | None) -> None:
        self.jobs, self._team = jobs, team
        steps = [_Step(KINDS[type(job)], threads, ctypes.addressof(job)) for job, threads, _ in jobs]
        self._steps = (_Step * len(steps))(*steps)
        most = max((step.threads for step in steps), default=1)
        self._program = _Program(most, len(steps), ctypes.addressof(self._steps))
        self._run = library().dqviz_run

    def play(self) -> None:
        self._run(self._team, self._program)


class Native(Numba):
    """C kernels; `level` names the instruction set (the best that runs here when not given)."""

    def __init__(self, threads: int = 1, level: str | None = None) -> None:
        super().__init__(threads)
        self._buffers = Buffers()
        self._numba = Numba(threads)
        self._team = team_of(self, threads - 1) if threads > 1 else None
        self.tape: list[Job] | None = None
        self.level = LEVELS.index(level or levels()[-1])

    @classmethod
    def missing(cls) -> str:
        return library() if isinstance(library(), str) else ""

    def quantize(self, x: Float32, params: Grid) -> Codes:
        x = np.ascontiguousarray(in_own_steps(x, params))
        rows, channels = x.shape
        data = self.room(rows, channels, params.bits)
        finish = _Finish(CODES, params.bits, params.zero_point, 0, *bounds(params, False))
        threads = self.shares_of(x.size)
        job = _Quantize(self.level, threads, channels, 0, address(x), params.inverse, 0, rows, address(data),
                        data.strides[0], finish)  # fmt: skip
        self.do(job, threads, x, data)
        return Codes(data, params, channels)

    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        need_requantize(epilogue, own)
        quads = matrix.quads if matrix.reach * 255 <= INT32_MAX and matrix.heads <= MAX_HEADS else None
        if quads is None:
            return self.elsewhere().spmm(matrix, x, own=own, epilogue=epilogue)
        return self.weighted(quads, x, own, epilogue)

    def attend(
        self, matrix: Csr, x: Codes, scores: Codes, softmax: Softmax, epilogue: Epilogue | None = None
    ) -> Output:
        if scores.channels > 2 * MAX_HEADS or softmax.reach(matrix.degree) * 255 > INT32_MAX:
            return self.elsewhere().attend(matrix, x, scores, softmax, epilogue)
        return self.weighted(self.coefficients(matrix, scores, softmax), x, 0.0, epilogue)

    def attention(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Csr:
        if scores.channels > 2 * MAX_HEADS:
            return self.elsewhere().attention(matrix, scores, softmax)
        quads = self.coefficients(matrix, scores, softmax)
        return replace(matrix, weights=quads.weights[matrix.layout.place])

    def coefficients(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Quads:
        """Softmax in codes, laid out for `weighted`."""
        layout, codes, heads = matrix.layout, scores.values, scores.channels // 2
        source, target = np.ascontiguousarray(codes[:, :heads]), np.ascontiguousarray(codes[:, heads:])
        weights = np.empty((layout.room, heads), np.uint8)
        weights[GROUP * int(layout.ptr[-1]) :] = 0
        sums = np.empty((layout.num_rows, heads), np.int32)
        threads = self.shares_of(layout.room * heads)
        rows, _ = layout.shares(threads)
        job = _Attention(
            threads, heads, softmax.first, 0, softmax.out.inverse, 0, softmax.high, 0, address(layout.ptr),
            address(layout.indices), address(source), address(target), address(softmax.table), layout.num_rows,
            address(rows), address(weights), address(sums), address(layout.live),
        )  # fmt: skip
        self.do(job, threads, layout, source, target, softmax, rows, weights, sums)
        return Quads(layout, weights, sums, True, softmax.high <= 127)

    def weighted(self, quads: Quads, x: Codes, own: float, epilogue: Epilogue | None) -> Output:
        """The product for weights that fit a byte, of one head or several."""
        x = x.packed()
        layout, threads = quads.layout, self.shares_of(quads.layout.room * x.channels)
        rows, groups = layout.shares(threads)
        head, tail = np.empty((2, threads, x.channels), np.int32)
        finish, kept = finish_of(epilogue, x.channels)
        out = self.result(layout.num_rows, x.channels, epilogue)
        spread = spread_of(x.channels, quads.heads) if quads.heads > 1 else None
        job = _Spmm(
            self.level, threads, x.channels, quads.heads, x.params.bits, x.params.zero_point, quads.nonnegative,
            quads.fits_int8, own, address(layout.ptr), address(layout.indices), address(quads.weights),
            address(quads.weight_sums), address(spread), address(x.data), x.data.strides[0],
            address(rows), address(groups), address(head), address(tail), address(out), out.strides[0], finish,
        )  # fmt: skip
        self.do(job, threads, quads, x, rows, groups, head, tail, out, spread, kept)
        return wrapped(out, x.channels, epilogue)

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        rows, channels = len(x.data), weight.codes.shape[1]
        if x.channels * 255 * 255 > INT32_MAX or 0 in (rows, channels, x.channels):
            return self.elsewhere().gemm(x, weight, epilogue)
        return self.fused([(x, weight)], epilogue)

    def gemm_pair(
        self, first: Codes, first_weight: Weight, second: Codes, second_weight: Weight, epilogue: Epilogue
    ) -> Output:
        sizes = (len(first.data), first.channels, second.channels, first_weight.codes.shape[1])
        if max(first.channels, second.channels) * 255 * 255 > INT32_MAX or 0 in sizes:
            return self.elsewhere().gemm_pair(first, first_weight, second, second_weight, epilogue)
        return self.fused([(first, first_weight), (second, second_weight)], epilogue)

    def fused(self, pairs: Sequence[tuple[Codes, Weight]], epilogue: Epilogue | None) -> Output:
        """One dense product, or two that the epilogue adds."""
        rows, channels = len(pairs[0][0].data), pairs[0][1].codes.shape[1]
        finish, kept = finish_of(epilogue, channels)
        out = self.result(rows, channels, epilogue)
        work = rows * sum(x.channels for x, _ in pairs) * channels // 16
        threads, second = self.shares_of(work), None
        held: list[Any] = [kept, out]
        for x, weight in reversed(pairs):
            x, packed = x.packed(), weight.packed(x.params.bits)
            job = _Gemm(
                self.level, threads, x.channels, channels, x.params.bits, x.params.zero_point, weight.zero, 0,
                address(x.data), x.data.strides[0], address(packed.blocks), address(packed.column_sums), rows,
                address(out), out.strides[0], second, finish,
            )  # fmt: skip
            second = ctypes.addressof(job)
            held += [x, packed, job]
        self.do(job, threads, *held)
        return wrapped(out, channels, epilogue)

    def spmm_float(self, matrix: Csr, weights: Float32, x: Float32) -> Float32:
        layout = matrix.layout
        rows, groups = layout.shares(self.threads)
        head, tail = np.empty((2, self.threads, x.shape[1]), np.float32)
        out: Any = self._buffers.empty((matrix.num_rows, x.shape[1]), np.float32)
        job = _SpmmFloat(self.level, self.threads, x.shape[1], 0, address(layout.ptr), address(layout.indices),
                         address(weights), address(x), address(rows), address(groups), address(head), address(tail),
                         address(out))  # fmt: skip
        self.do(job, self.threads, layout, weights, x, rows, groups, head, tail, out)
        return cast(Float32, out)

    def quantize_entries(self, x: SparseRows, params: Grid) -> Csr:
        low, high = params.qmin - params.zero_point, params.qmax - params.zero_point
        if not (low >= -128 and high <= 127) and not (low >= 0 and high <= 255):
            return self.elsewhere().quantize_entries(x, params)
        layout, values = x.pattern.layout, x.padded
        weights, sums = np.zeros(layout.room, np.uint8), np.empty(layout.num_rows, np.int32)
        threads = self.shares_of(8 * len(values))
        job = _Entries(self.level, threads, params.inverse, low, high, 0, address(values), address(layout.ptr),
                       layout.num_rows, address(weights), address(sums))  # fmt: skip
        self.do(job, threads, values, layout, weights, sums)
        quads = Quads(layout, weights, sums, low >= 0, high <= 127)
        placed = weights[layout.place] if low >= 0 else weights.view(np.int8)[layout.place]
        matrix = replace(x.pattern, weights=placed)
        matrix.__dict__["quads"] = quads
        return matrix

    def record(self) -> None:
        self.tape = []

    def recorded(self) -> Callable[[], None] | None:
        jobs, self.tape = self.tape, None
        return Tape(jobs, self._team).play if jobs else None

    def elsewhere(self) -> Numba:
        """The kernels that do what these do not take; a tape with such a gap is no tape."""
        self.tape = None
        return self._numba

    def do(self, job: Structure, threads: int, *kept: Any) -> None:
        """Runs a job now; `kept`: what its pointers point into. While a tape is made, the job is put on it too."""
        Tape([(job, threads, kept)], self._team).play()
        if self.tape is not None:
            self.tape.append((job, threads, kept))

    def room(self, rows: int, channels: int, bits: int) -> npt.NDArray[Any]:
        """For codes as they are held: int8, or packed uint8."""
        return self._buffers.empty((rows, row_bytes(channels, bits)), np.int8 if bits > 4 else np.uint8)

    def result(self, rows: int, channels: int, epilogue: Epilogue | None) -> npt.NDArray[Any]:
        if isinstance(epilogue, Requantize):
            return self.room(rows, channels, epilogue.out.bits)
        return self._buffers.empty((rows, channels), np.int32 if epilogue is None else np.float32)

    def shares_of(self, products: int) -> int:
        return self.threads if products > SMALL else 1


def team_of(owner: Native, others: int) -> int:
    """Threads that wait for the owner's programs and end with it. Raises MemoryError where the system gives none."""
    team = library().dqviz_team_start(others)
    if team is None:
        raise MemoryError(f"The system gave no {others} threads for integer kernels.")
    weakref.finalize(owner, library().dqviz_team_stop, team)
    return int(team)


@cache
def spread_of(channels: int, heads: int) -> npt.NDArray[np.uint8]:
    """Which byte of a group's weights [4, heads] each byte of an int8 accumulator needs: uint8 [vectors, 4, 64].

    The lanes of a part stand for features in the order of `feature_of` in avx512.c.
    """
    vectors = -(-channels // TILE)
    vector, part, lane = np.ogrid[:vectors, :4, :LANES]
    planar = 64 * vector + 16 * (lane // 4) + 4 * part + lane % 4
    feature = planar if channels > TILE // 2 else 16 * part + lane
    head = np.where(feature < channels, feature // (channels // heads), 0)
    return np.ascontiguousarray(head[..., None] + heads * np.arange(4), np.uint8).reshape(vectors, 4, TILE)


def address(array: npt.NDArray[Any] | None) -> int | None:
    """Where a C-contiguous array begins (`array.ctypes.data` takes five times as long)."""
    return None if array is None else int(array.__array_interface__["data"][0])


def wrapped(out: npt.NDArray[Any], channels: int, epilogue: Epilogue | None) -> Output:
    return Codes(out, epilogue.out, channels) if isinstance(epilogue, Requantize) else cast(Output, out)


def bounds(grid: Grid, relu: bool) -> tuple[float, float]:
    """Where rounded steps are clipped, before the zero point is added; ReLU is a bound like any other."""
    low, high = grid.qmin - grid.zero_point, grid.qmax - grid.zero_point
    return float(max(low, 0) if relu else low), float(high)


def finish_of(epilogue: Epilogue | None, channels: int) -> tuple[_Finish, tuple[Any, ...]]:
    """The struct, and the arrays it points to: they must live as long as it is used."""
    if epilogue is None:
        return _Finish(SUMS), ()
    also = None if epilogue.also is None else padded(np.broadcast_to(epilogue.also, (channels,)))
    rows = None if epilogue.rows is None else np.ascontiguousarray(epilogue.rows, np.float64)
    arrays = (*epilogue.padded(channels, LANES), getattr(epilogue, "thresholds", None), rows, also)
    places = [address(array) for array in arrays]
    if not isinstance(epilogue, Requantize):
        return _Finish(REALS, 32, 0, 0, 0, 0, *places, 0, 0), arrays
    grid, offset, steps = epilogue.out, epilogue.largest_offset, epilogue.thresholds
    # Where a result is not clipped, |y| <= 2^bits and |sum M| <= |y| + |B|: (4 |sum M| + |B| + |y|) 2^-24, and as much
    # again for the zero point that is added before rounding.
    noise = 10 * (offset + 2.0 ** (grid.bits + 1)) * 2.0**-24
    count = 0 if steps is None else len(steps)
    head = (CODES, grid.bits, grid.zero_point, count, *bounds(grid, epilogue.relu))
    return _Finish(*head, *places, offset < LARGE and also is None, 0.5 - noise), arrays


def padded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Whole vectors, for kernels that read nothing less."""
    out = np.zeros(-(-len(values) // LANES) * LANES)
    out[: len(values)] = values
    return out


ENTRY: Entry[Backend] = Entry("native", "C kernels: AVX-512 VNNI, AVX2 or plain C, chosen at run time.", Native,
                              facts={"class": Native})  # fmt: skip
