"""native: C kernels with the best instructions of this processor (kernels/c), called through ctypes.

Features of 4 and 2 bits stay packed in memory and are unpacked in registers. The library is an optional extension that
the set-up command builds where there is a C compiler; without it, or for what it does not take (weights wider than a
byte, sums beyond int32), the numba kernels do the work.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import Structure
from dataclasses import replace
from itertools import accumulate
from math import ceil
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dqviz.integer.codes import Codes, Float32, Grid, in_own_steps
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.graph import SparseRows
from dqviz.integer.kernels.base import INT32_MAX, Backend, Output, need_no_offset, need_requantize
from dqviz.integer.kernels.buffers import Buffers
from dqviz.integer.kernels.chains import joined
from dqviz.integer.kernels.entries import entries_job, meet_job, weighed
from dqviz.integer.kernels.finishing import WIDEST, bounds, finish_of, in_bytes
from dqviz.integer.kernels.library import (
    CODES,
    LEVELS,
    AttentionJob,
    BlendJob,
    Finish,
    GemmJob,
    Job,
    QuantizeJob,
    SpmmFloatJob,
    SpmmJob,
    Tape,
    UnpackJob,
    address,
    levels,
    library,
    team_of,
)
from dqviz.integer.kernels.meeting import meeting
from dqviz.integer.kernels.operands import operand, repeated, shape_of, spread_of, takes
from dqviz.integer.kernels.parallel import Numba
from dqviz.integer.packing import held_bits, row_bytes
from dqviz.integer.quads import GROUP, Quads, fits_byte
from dqviz.integer.softmax import Softmax
from dqviz.integer.weight import Weight
from dqviz.registry import Entry

MAX_HEADS = 16
SMALL = 1 << 15
"""Products below which a second thread costs more than it saves (calling one takes some microseconds)."""
BLENDED = 512
"""Values that `combine` takes at once: rows of some channels, so that the vectors are full."""
UNKNOWN = INT32_MAX + 1
"""Sums of which no bound is known: float64 decides their codes."""


class Native(Backend):
    """C kernels; `level` names the instruction set (the best that runs here when not given).

    An object and its threads serve one caller at a time.
    """

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
        finish = Finish(CODES, held_bits(params.bits), params.zero_point, 0, *bounds(params, False))
        threads = self.shares_of(x.size)
        job = QuantizeJob(self.level, threads, channels, 0, address(x), params.inverse, 0, rows, address(data),
                        data.strides[0], finish)  # fmt: skip
        self.do(job, threads, x, data)
        return Codes(data, params, channels)

    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        need_requantize(epilogue, own)
        quads = matrix.quads if matrix.reach * WIDEST <= INT32_MAX and matrix.heads <= MAX_HEADS else None
        if quads is None:
            return self.elsewhere().spmm(matrix, x, own=own, epilogue=epilogue)
        return self.weighted(quads, x, own, epilogue, matrix.reach)

    def attend(
        self, matrix: Csr, x: Codes, scores: Codes, softmax: Softmax, epilogue: Epilogue | None = None
    ) -> Output:
        reach = softmax.reach(matrix.degree)
        if scores.channels > 2 * MAX_HEADS or reach * WIDEST > INT32_MAX:
            return self.elsewhere().attend(matrix, x, scores, softmax, epilogue)
        return self.weighted(self.coefficients(matrix, scores, softmax), x, 0.0, epilogue, reach)

    def attention(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Csr:
        if scores.channels > 2 * MAX_HEADS:
            return self.elsewhere().attention(matrix, scores, softmax)
        quads = self.coefficients(matrix, scores, softmax)
        return replace(matrix, weights=quads.weights[matrix.layout.place])

    def coefficients(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Quads:
        """Softmax in codes, laid out for `weighted`."""
        layout, heads = matrix.layout, scores.channels // 2
        codes = np.ascontiguousarray(self.spread_out(scores).data)
        source = address(codes) or 0
        weights = np.empty((layout.room, heads), np.uint8)
        weights[GROUP * int(layout.ptr[-1]) :] = 0
        sums = np.empty((layout.num_rows, heads), np.int32)
        threads = self.shares_of(layout.room * heads)
        rows, _ = layout.shares(threads)
        job = AttentionJob(
            threads, heads, softmax.first, self.level, softmax.out.inverse, 0, softmax.high, 0, address(layout.ptr),
            address(layout.indices), source, source + heads, 2 * heads, address(softmax.table), layout.num_rows,
            address(rows), address(weights), address(sums), address(layout.live),
        )  # fmt: skip
        self.do(job, threads, layout, codes, softmax, rows, weights, sums)
        return Quads(layout, weights, sums, True, softmax.high <= 127)

    def weighted(self, quads: Quads, x: Codes, own: float, epilogue: Epilogue | None, reach: int) -> Output:
        """The product for weights that fit a byte, of one head or several. reach: most |weight| of a row."""
        x = self.spread_out(x) if quads.heads > 1 else x.packed()
        layout, threads = quads.layout, self.shares_of(quads.layout.room * x.channels)
        rows, groups = layout.shares(threads)
        head, tail = np.empty((2, threads, x.channels), np.int32)
        finish, kept = finish_of(epilogue, x.channels, (reach + ceil(abs(own))) * x.params.reach, own)
        out = self.result(layout.num_rows, x.channels, epilogue)
        spread = spread_of(x.channels, quads.heads) if quads.heads > 1 else None
        bits = x.params.bits if x.is_packed else 8
        job = SpmmJob(
            self.level, threads, x.channels, quads.heads, bits, x.params.zero_point, quads.nonnegative,
            quads.fits_int8, own, address(layout.ptr), address(layout.indices), address(quads.weights),
            address(quads.weight_sums), address(spread), address(x.data), x.data.strides[0],
            address(rows), address(groups), address(head), address(tail), address(out), out.strides[0], finish,
        )  # fmt: skip
        self.do(job, threads, quads, x, rows, groups, head, tail, out, spread, kept)
        return wrapped(out, x.channels, epilogue)

    def spread_out(self, x: Codes) -> Codes:
        """One code to a byte: with heads a packed byte meets two weights, so it is unpacked once and not each time."""
        if not x.is_packed:
            return x
        out = np.ascontiguousarray(self._buffers.empty((len(x.data), x.channels), np.int8))
        threads = self.shares_of(out.size)
        job = UnpackJob(self.level, threads, x.channels, x.params.bits, address(x.data), x.data.strides[0], len(out),
                        address(out))  # fmt: skip
        self.do(job, threads, x, out)
        return Codes(out, x.params, x.channels)

    def sum_sparse(self, matrix: Csr, x: Csr, own: float, epilogue: Requantize) -> Csr:
        need_no_offset(epilogue)
        low, high = bounds(epilogue.out, epilogue.relu)
        sums = meeting(matrix, x, own != 0) if fits_byte(int(low), int(high)) and epilogue.thresholds is None else None
        if sums is None or x.quads is None:
            return self.elsewhere().sum_sparse(matrix, x, own, epilogue)
        threads = self.shares_of(8 * len(sums.source))
        job, quads, kept = meet_job(sums, x.quads, own, epilogue, self.level, threads)
        self.do(job, threads, quads, kept)
        return weighed(sums.pattern, quads)

    def combine(self, first: Any, second: Any, epilogue: Epilogue) -> Output:
        rows, channels = shape_of(first)
        parts = [part for part in (first, second) if part is not None]
        if 0 in (rows, channels) or not all(map(takes, parts)):
            return self.elsewhere().combine(first, second, epilogue)
        lines = 1 if epilogue.rows is not None else max(1, min(rows, BLENDED // channels))
        finish, kept = finish_of(repeated(epilogue, channels, lines), channels * lines, UNKNOWN)
        out = self.result(rows, channels, epilogue)
        threads = self.shares_of(2 * rows * channels)
        job = BlendJob(self.level, threads, channels, lines, operand(first), operand(second), rows, address(out),
                       out.strides[0], finish)  # fmt: skip
        self.do(job, threads, first, second, out, kept)
        return wrapped(out, channels, epilogue)

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        rows, channels = len(x.data), weight.codes.shape[1]
        if x.channels * WIDEST**2 > INT32_MAX or 0 in (rows, channels, x.channels):
            return self.elsewhere().gemm(x, weight, epilogue)
        return self.fused([(x, weight)], epilogue)

    def gemm_pair(
        self, first: Codes, first_weight: Weight, second: Codes, second_weight: Weight, epilogue: Epilogue
    ) -> Output:
        sizes = (len(first.data), first.channels, second.channels, first_weight.codes.shape[1])
        if max(first.channels, second.channels) * WIDEST**2 > INT32_MAX or 0 in sizes:
            return self.elsewhere().gemm_pair(first, first_weight, second, second_weight, epilogue)
        return self.fused([(first, first_weight), (second, second_weight)], epilogue)

    def gemms_beside(self, x: Codes, products: Sequence[tuple[Weight, Requantize]]) -> Codes:
        rows, widths = len(x.data), [weight.codes.shape[1] for weight, _ in products]
        if x.channels * WIDEST**2 > INT32_MAX or 0 in (rows, x.channels, *widths):
            return self.elsewhere().gemms_beside(x, products)
        out: Any = self._buffers.empty((rows, sum(widths)), np.int8)
        for (weight, epilogue), end in zip(products, accumulate(widths), strict=True):
            columns = out[:, end - weight.codes.shape[1] : end]
            self.fused([(x, weight)], epilogue, columns)
        return Codes(out, products[0][1].out, sum(widths))

    def fused(
        self,
        pairs: Sequence[tuple[Codes, Weight]],
        epilogue: Epilogue | None,
        columns: npt.NDArray[np.int8] | None = None,
    ) -> Output:
        """One dense product, or two that the epilogue adds. columns: where codes go, one to a byte."""
        rows, channels = len(pairs[0][0].data), pairs[0][1].codes.shape[1]
        reach = max(x.channels * x.params.reach * weight.reach for x, weight in pairs)
        finish, kept = finish_of(epilogue, channels, reach)
        if columns is None:
            out = self.result(rows, channels, epilogue)
        else:
            out, finish = columns, in_bytes(finish)
        work = rows * sum(x.channels for x, _ in pairs) * channels // 4
        threads, second = self.shares_of(work), None
        held: list[Any] = [kept, out]
        for x, weight in reversed(pairs):
            x, packed = x.packed(), weight.packed(x.params.bits)
            bits = x.params.bits if x.is_packed else 8  # codes of 5 to 7 bits lie as bytes, whatever their width
            job = GemmJob(
                self.level, threads, x.channels, channels, bits, x.params.zero_point, weight.zero, 0,
                address(x.data), x.data.strides[0], address(packed.blocks), address(packed.column_sums), rows,
                address(out), out.strides[0], second, finish,
            )  # fmt: skip
            second = ctypes.addressof(job)
            held += [x, packed, job]
        self.do(job, threads, *held)
        return wrapped(out, channels, epilogue)

    def spmm_float(self, matrix: Csr, weights: Float32, x: Float32) -> Float32:
        layout = matrix.layout
        threads = self.shares_of(layout.room * x.shape[1])
        rows, groups = layout.shares(threads)
        head, tail = np.empty((2, threads, x.shape[1]), np.float32)
        out: Any = self._buffers.empty((matrix.num_rows, x.shape[1]), np.float32)
        job = SpmmFloatJob(self.level, threads, x.shape[1], 0, address(layout.ptr), address(layout.indices),
                         address(weights), address(x), address(rows), address(groups), address(head), address(tail),
                         address(out))  # fmt: skip
        self.do(job, threads, layout, weights, x, rows, groups, head, tail, out)
        return cast(Float32, out)

    def quantize_entries(self, x: SparseRows, params: Grid) -> Csr:
        low, high = params.qmin - params.zero_point, params.qmax - params.zero_point
        if not fits_byte(low, high):
            return self.elsewhere().quantize_entries(x, params)
        threads = self.shares_of(8 * len(x.padded))
        job, quads = entries_job(x, params, self.level, threads)
        self.do(job, threads, x, quads)
        return weighed(x.pattern, quads)

    def record(self) -> None:
        self.tape = []

    def recorded(self) -> Callable[[], None] | None:
        jobs, self.tape = self.tape, None
        return Tape(joined(jobs), self._team).play if jobs else None

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


def wrapped(out: npt.NDArray[Any], channels: int, epilogue: Epilogue | None) -> Output:
    return Codes(out, epilogue.out, channels) if isinstance(epilogue, Requantize) else cast(Output, out)


ENTRY: Entry[Backend] = Entry("native", "C kernels: AVX-512, AVX2, Arm NEON or plain C, chosen at run time.", Native,
                              facts={"class": Native})  # fmt: skip
