"""numba: portable compiled kernels, CSR times int8 with exact integer sums; dense products by `torch._int_mm`.

Use it wherever no native build is at hand. The sparse product shares its work by entries, so a hub costs no thread more
than another; the epilogue is fused into it. `_int_mm` is oneDNN's int8 product, exact on this class of processor; a
probe at first use checks that, and numba's own sums take over where it is not or where int32 could overflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numba
import numpy as np
import numpy.typing as npt
import torch

from dqviz.integer.codes import Accumulator, Codes, Float32, Grid, Int8, Int32, Int64, in_own_steps, narrow
from dqviz.integer.csr import Csr, scipy_of
from dqviz.integer.epilogue import Epilogue, Requantize
from dqviz.integer.kernels import loops
from dqviz.integer.kernels.base import (
    INT32_MAX,
    Backend,
    Output,
    accumulator,
    centred,
    finish,
    need_no_offset,
    need_requantize,
)
from dqviz.integer.softmax import Softmax
from dqviz.integer.weight import Weight
from dqviz.registry import Entry


class Numba(Backend):
    """Compiled loops over shares of entries, one share a thread."""

    def quantize(self, x: Float32, params: Grid) -> Codes:
        x = in_own_steps(x, params)
        out = np.empty(x.shape, np.int8)
        reciprocal = np.float32(params.inverse)
        with limited(self.threads):
            loops.quantize_codes(np.ascontiguousarray(x), reciprocal, np.float32(params.zero_point),
                                 np.float32(params.qmin), np.float32(params.qmax), out)  # fmt: skip
        return Codes.of(out, params)

    def spmm(self, matrix: Csr, x: Codes, *, own: float = 0.0, epilogue: Epilogue | None = None) -> Output:
        need_requantize(epilogue, own)
        if matrix.headed:
            return self.by_head(matrix, x, own, epilogue)
        values, zero, channels = np.ascontiguousarray(x.values), x.params.zero_point, x.channels
        dtype = accumulator(matrix.reach * x.params.reach)
        row, entry = matrix.shares(self.threads)
        head, tail = np.zeros((2, self.threads, channels), dtype)
        fused = isinstance(epilogue, Requantize)
        out: Any = np.empty((matrix.num_rows, channels), np.int8 if fused else dtype)
        arguments = (matrix.indptr, matrix.indices, matrix.weights, values, np.int64(zero))
        with limited(self.threads):
            if isinstance(epilogue, Requantize):
                loops.spmm_codes(*arguments, own, row, entry, out, head, tail, *scalars(epilogue, channels))
            else:
                loops.spmm_sums(*arguments, row, entry, out, head, tail)
        found, sums = join(matrix.indptr, row, entry, head, tail)
        if isinstance(epilogue, Requantize):
            out[found] = epilogue.at(found).apply(with_own(sums, values, found, zero, own))
            return Codes.of(out, epilogue.out)
        out[found] = sums
        return cast(Output, out if epilogue is None else epilogue.apply(out))

    def by_head(self, matrix: Csr, x: Codes, own: float, epilogue: Epilogue | None) -> Output:
        """One product a head, side by side."""
        values, width = x.values, x.channels // matrix.heads
        parts = []
        for head in range(matrix.heads):
            channels = slice(head * width, (head + 1) * width)
            part = None if epilogue is None else epilogue.part(channels)
            parts.append(
                self.spmm(matrix.of_head(head), Codes.of(values[:, channels], x.params), own=own, epilogue=part)
            )
        if isinstance(epilogue, Requantize):
            return Codes.of(np.concatenate([cast(Codes, part).values for part in parts], axis=1), epilogue.out)
        return cast(Output, np.concatenate(cast(list[Accumulator], parts), axis=1))

    def attention(self, matrix: Csr, scores: Codes, softmax: Softmax) -> Csr:
        codes = scores.values
        heads = codes.shape[1] // 2
        source, target = np.ascontiguousarray(codes[:, :heads]), np.ascontiguousarray(codes[:, heads:])
        weights = np.empty((matrix.num_entries, heads), np.uint8)
        with limited(self.threads):
            loops.attention_codes(matrix.indptr, matrix.indices, source, target, softmax.table, softmax.first,
                                  np.float32(softmax.out.inverse), np.float32(softmax.high),
                                  matrix.shares(self.threads)[0], weights)  # fmt: skip
        return replace(matrix, weights=weights)

    def combine(self, first: Any, second: Any, epilogue: Epilogue) -> Output:
        if not isinstance(epilogue, Requantize):
            return super().combine(first, second, epilogue)
        first = centred(first)
        out = np.empty(first.shape, np.int8)
        other = np.zeros((0, 0), first.dtype) if second is None else centred(second)
        also = np.zeros(0) if epilogue.also is None else epilogue.also
        with limited(self.threads):
            loops.combine_codes(first, other, also, out, *scalars(epilogue, first.shape[1]))
        return Codes.of(out, epilogue.out)

    def spmm_float(self, matrix: Csr, weights: Float32, x: Float32) -> Float32:
        """The same product in float32 (a peer for timing): weights [entries], x [num_cols, channels]."""
        row, entry = matrix.shares(self.threads)
        head, tail = np.zeros((2, self.threads, x.shape[1]), np.float32)
        out = np.empty((matrix.num_rows, x.shape[1]), np.float32)
        with limited(self.threads):
            loops.spmm_float(matrix.indptr, matrix.indices, weights, x, row, entry, out, head, tail)
        found, sums = join(matrix.indptr, row, entry, head, tail)
        out[found] = sums
        return out

    def gemm(self, x: Codes, weight: Weight, epilogue: Epilogue | None = None) -> Output:
        values, zero = x.values, x.params.zero_point
        rows, channels = len(values), weight.codes.shape[1]
        acc, by_row = self.int_products(values, weight)
        by_column = zero * weight.column_sum - x.channels * zero * weight.zero
        if isinstance(epilogue, Requantize):
            out = np.empty((rows, channels), np.int8)
            with limited(self.threads):
                loops.gemm_codes(acc, by_row, by_column, weight.zero, out, *scalars(epilogue, channels))
            return Codes.of(out, epilogue.out)
        sums: Int64 = acc[:, :channels].astype(np.int64) - by_column - weight.zero * by_row[:, None].astype(np.int64)
        return finish(sums, epilogue, x.channels * 255 * 255)

    def int_products(self, x: Int8, weight: Weight) -> tuple[Accumulator, Accumulator]:
        """(x w [rows, >= channels], row sums of x [rows]); the row sums come from one more column of ones."""
        codes = weight.codes
        if x.shape[1] * 128 * 128 > INT32_MAX or not int_mm_is_exact():
            return x.astype(np.int64) @ codes.astype(np.int64), x.sum(axis=1, dtype=np.int64)
        if weight.zero != 0:
            codes = np.concatenate([codes, np.ones((len(codes), 1), np.int8)], axis=1)
        acc = int_mm(x, codes, self.threads)
        return acc, acc[:, -1]

    def sum_sparse(self, matrix: Csr, x: Csr, own: float, epilogue: Requantize) -> Csr:
        need_no_offset(epilogue)
        acc = (scipy_of(matrix) @ scipy_of(x)).astype(np.float64)
        if own:
            acc = acc + own * scipy_of(x).astype(np.float64)
        acc.sum_duplicates()
        multiplier = np.broadcast_to(epilogue.multiplier, (x.num_cols,))[acc.indices]
        if epilogue.rows is not None:
            acc.data = acc.data * np.repeat(epilogue.rows, np.diff(acc.indptr))
        channels = replace(epilogue, multiplier=multiplier, offset=np.zeros(()), rows=None)
        centred = channels.apply(acc.data).astype(np.int64) - epilogue.out.zero_point
        acc.data = centred.astype(np.float64)
        acc.eliminate_zeros()
        return Csr(acc.indptr.astype(np.int64), acc.indices.astype(np.int32), narrow(acc.data.astype(np.int64)),
                   x.num_cols)  # fmt: skip


def scalars(epilogue: Requantize, channels: int) -> tuple[Any, ...]:
    """A Requantize as the loops take it."""
    out = epilogue.out
    multiplier, offset = (np.ascontiguousarray(np.broadcast_to(a, (channels,)))
                          for a in (epilogue.multiplier, epilogue.offset))  # fmt: skip
    floor = 0.0 if epilogue.relu else -np.inf
    rows = np.zeros(0) if epilogue.rows is None else epilogue.rows
    thresholds = np.zeros(0, np.float32) if epilogue.thresholds is None else epilogue.thresholds
    return (
        rows,
        multiplier,
        offset,
        thresholds,
        *(np.float32(value) for value in (floor, out.zero_point, out.qmin, out.qmax)),
    )


def with_own(sums: Accumulator, x: Int8, rows: Int64, zero: int, own: float) -> Any:
    """sums + own (x[rows] - zero), in float64 where there is an own term."""
    return sums.astype(np.float64) + own * (x[rows].astype(np.float64) - zero) if own else sums


def join(
    indptr: Int64, rows: Int64, entries: Int64, head: npt.NDArray[Any], tail: npt.NDArray[Any]
) -> tuple[Int64, npt.NDArray[Any]]:
    """Rows that were cut between shares, and their sums: every tail before, then the head that ends the row."""
    pieces: dict[int, Any] = {}
    for share in range(len(rows) - 1):
        row, last = int(rows[share]), int(rows[share + 1])
        if last > row and entries[share] > indptr[row]:
            pieces[row] = pieces[row] + head[share]
        if entries[share + 1] > max(indptr[last], entries[share]):
            pieces[last] = pieces.get(last, 0) + tail[share]
    sums = np.array(list(pieces.values()), tail.dtype).reshape(len(pieces), tail.shape[1])
    return np.array(list(pieces), np.int64), sums


def int_mm(x: Int8, codes: Int8, threads: int) -> Int32:
    """Exact int8 product by torch; the empty ones are answered here (inner size 0 leaves its output unset)."""
    if 0 in (*x.shape, *codes.shape):
        return np.zeros((len(x), codes.shape[1]), np.int32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        product = torch._int_mm(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(codes))
    finally:
        torch.set_num_threads(before)
    out: Int32 = product.numpy()
    return out


@cache
def int_mm_is_exact() -> bool:
    """Probe with saturating codes: int8 products that go through int16 (old processors) clip here."""
    x = np.full((16, 256), -128, np.int8)
    y = np.full((256, 16), -128, np.int8)
    return bool((int_mm(x, y, 1) == 256 * 128 * 128).all())


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """numba's threads for the calls inside, at most what the process was started with; restored afterwards."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, int(vars(numba.config)["NUMBA_NUM_THREADS"])))
    try:
        yield
    finally:
        numba.set_num_threads(before)


ENTRY: Entry[Backend] = Entry("numba", "Compiled CSR loops with int32 sums; dense products by torch._int_mm.", Numba,
                              facts={"class": Numba})  # fmt: skip
