"""native: C kernels with the best instructions of this processor (kernels/c), called through ctypes.

Features of 4 and 2 bits stay packed in memory and are unpacked in registers. The library is an optional extension that
the set-up command builds where there is a C compiler; without it, or for what it does not take (weights wider than a
byte, sums beyond int32), the numba kernels do the work.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Codes, Float32, Grid
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.kernels.base import INT32_MAX, Backend, Output, need_requantize
from dqviz.integer.kernels.buffers import Buffers
from dqviz.integer.kernels.parallel import Numba, join, with_own
from dqviz.integer.packing import row_bytes
from dqviz.integer.quads import Layout, Quads
from dqviz.integer.weight import Weight
from dqviz.registry import Entry

SUMS, CODES, REALS = 0, 1, 2
LEVELS = ("plain", "avx2", "avx512")
LANES, TILE, MAX_HEADS = 16, 64, 16
LARGE = 2048
"""Offsets (in steps) below which float32 decides a code that is not near a tie (avx512.c)."""
SMALL = 1 << 19
"""Products below which a second thread costs more than it saves (starting one takes about 20 microseconds)."""


class _Finish(Structure):
    _fields_: ClassVar = [
        ("kind", c_int32), ("bits", c_int32), ("zero_point", c_int32), ("num_thresholds", c_int32),
        ("low", c_float), ("high", c_float),
        ("multiplier", c_void_p), ("offset", c_void_p), ("multiplier32", c_void_p), ("offset32", c_void_p),
        ("thresholds", c_void_p), ("fast", c_int32), ("tie", c_float),
    ]  # fmt: skip


class _Spmm(Structure):
    _fields_: ClassVar = [
        ("level", c_int32), ("threads", c_int32), ("channels", c_int32), ("heads", c_int32),
        ("x_bits", c_int32), ("zero", c_int32), ("nonnegative", c_int32), ("fits_int8", c_int32),
        ("own", c_double), ("ptr", c_void_p), ("indices", c_void_p), ("weights", c_void_p), ("weight_sums", c_void_p),
        ("spread", c_void_p), ("x", c_void_p), ("x_bytes", c_int64), ("rows", c_void_p), ("groups", c_void_p),
        ("head", c_void_p), ("tail", c_void_p), ("out", c_void_p), ("out_bytes", c_int64), ("finish", _Finish),
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
        ("num_rows", c_int64), ("out", c_void_p), ("out_bytes", c_int64), ("finish", _Finish),
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


STRUCTS = (_Finish, _Spmm, _SpmmFloat, _Gemm, _Quantize, _Attention)


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
    for name, struct in (("spmm", _Spmm), ("spmm_float", _SpmmFloat), ("gemm", _Gemm), ("quantize", _Quantize),
                         ("attention", _Attention)):  # fmt: skip
        getattr(loaded, f"dqviz_{name}").argtypes = [POINTER(struct)]
        getattr(loaded, f"dqviz_{name}").restype = None
    return loaded


def levels() -> list[str]:
    """Instruction sets of the library that run on this processor, slowest first."""
    if isinstance(library(), str):
        return []
    bits = library().dqviz_levels()
    return [name for index, name in enumerate(LEVELS) if bits & (1 << index)]


class Native(Numba):
    """C kernels; `level` names the instruction set (the best that runs here when not given)."""

    def __init__(self, threads: int = 1, level: str | None = None) -> None:
        super().__init__(threads)
        self._buffers = Buffers()
        self.level = LEVELS.index(level or levels()[-1])

    @classmethod
    def missing(cls) -> str:
        return library() if isinstance(library(), str) else ""

    def quantize(self, x: Float32, params: Grid) -> Codes:
        x = np.ascontiguousarray(x)
        rows, channels = x.shape
        data = self.room(rows, channels, params.bits)
        finish = _Finish(CODES, params.bits, params.zero_point, 0, *bounds(params, False))
        library().dqviz_quantize(_Quantize(self.level, self.shares_of(x.size), channels, 0, address(x), params.inverse, 0,
                                           rows, address(data), data.strides[0], finish))  # fmt: skip
        return Codes(data, params, channels)

    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        need_requantize(epilogue, own)
        quads = matrix.quads if matrix.reach * 255 <= INT32_MAX else None
        if quads is None:
            return super().spmm(matrix, x, own=own, epilogue=epilogue)
        return self.weighted(quads, x, own, epilogue)

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
            address(quads.weight_sums), address(spread) if spread is not None else None, address(x.data), x.data.strides[0], address(rows), address(groups),
            address(head), address(tail), address(out), out.strides[0], finish,
        )  # fmt: skip
        library().dqviz_spmm(job)
        del kept
        if threads > 1:
            self.complete(layout, rows, groups, head, tail, x, own, epilogue, out)
        return wrapped(out, x.channels, epilogue)

    def complete(self, layout: Layout, rows: Any, groups: Any, head: Any, tail: Any, x: Codes, own: float,
                 epilogue: Epilogue | None, out: Any) -> None:  # fmt: skip
        """Rows that were cut between shares."""
        found, sums = join(layout.ptr, rows, groups, head, tail)
        if not len(found):
            return
        if isinstance(epilogue, Requantize):
            part = Codes(x.data[found], x.params, x.channels)
            codes = epilogue.apply(with_own(sums, part.values, np.arange(len(found)), x.params.zero_point, own))
            out[found] = Codes.of(codes, epilogue.out).packed().data.view(out.dtype)
        else:
            out[found] = sums if epilogue is None else epilogue.apply(sums)

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        rows, channels = len(x.data), weight.codes.shape[1]
        if x.channels * 255 * 255 > INT32_MAX or 0 in (rows, channels, x.channels):
            return super().gemm(x, weight, epilogue)
        x = x.packed()
        packed = weight.packed(x.params.bits)
        finish, kept = finish_of(epilogue, channels)
        out = self.result(rows, channels, epilogue)
        job = _Gemm(
            self.level, self.shares_of(rows * x.channels * channels // 16), x.channels, channels, x.params.bits,
            x.params.zero_point, weight.zero, 0, address(x.data), x.data.strides[0], address(packed.blocks),
            address(packed.column_sums), rows, address(out), out.strides[0], finish,
        )  # fmt: skip
        library().dqviz_gemm(job)
        del kept
        return wrapped(out, channels, epilogue)

    def spmm_float(self, matrix: Csr, weights: Float32, x: Float32) -> Float32:
        layout = matrix.layout
        rows, groups = layout.shares(self.threads)
        head, tail = np.empty((2, self.threads, x.shape[1]), np.float32)
        out: Any = self._buffers.empty((matrix.num_rows, x.shape[1]), np.float32)
        job = _SpmmFloat(self.level, self.threads, x.shape[1], 0, address(layout.ptr), address(layout.indices),
                         address(weights), address(x), address(rows), address(groups), address(head), address(tail),
                         address(out))  # fmt: skip
        library().dqviz_spmm_float(job)
        found, sums = join(layout.ptr, rows, groups, head, tail)
        out[found] = sums
        return cast(Float32, out)

    def room(self, rows: int, channels: int, bits: int) -> npt.NDArray[Any]:
        """For codes as they are held: int8, or packed uint8."""
        return self._buffers.empty((rows, row_bytes(channels, bits)), np.int8 if bits > 4 else np.uint8)

    def result(self, rows: int, channels: int, epilogue: Epilogue | None) -> npt.NDArray[Any]:
        if isinstance(epilogue, Requantize):
            return self.room(rows, channels, epilogue.out.bits)
        return self._buffers.empty((rows, channels), np.int32 if epilogue is None else np.float32)

    def shares_of(self, products: int) -> int:
        return self.threads if products > SMALL else 1


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


def address(array: npt.NDArray[Any]) -> int:
    """Where a C-contiguous array begins (`array.ctypes.data` takes five times as long)."""
    return int(array.__array_interface__["data"][0])


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
    arrays = epilogue.padded(channels, LANES)
    places = [address(array) for array in arrays]
    if not isinstance(epilogue, Requantize):
        return _Finish(REALS, 32, 0, 0, 0, 0, *places), arrays
    grid, offset = epilogue.out, epilogue.largest_offset
    # Where a result is not clipped, |y| <= 2^bits and |sum M| <= |y| + |B|: (3 |sum M| + |B| + |y|) 2^-24, and as much
    # again for the zero point that is added before rounding.
    noise = 8 * (offset + 2.0 ** (grid.bits + 1)) * 2.0**-24
    low_high = bounds(grid, epilogue.relu)
    return _Finish(CODES, grid.bits, grid.zero_point, 0, *low_high, *places, None, offset < LARGE, 0.5 - noise), arrays


ENTRY: Entry[Backend] = Entry("native", "C kernels: AVX-512 VNNI, AVX2 or plain C, chosen at run time.", Native,
                              facts={"class": Native})  # fmt: skip
