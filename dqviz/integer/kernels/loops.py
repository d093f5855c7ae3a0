"""Compiled loops of the `numba` backend (and our FP32 kernel of the same design).

Work is cut into shares of equally many entries plus rows (`dqviz.integer.csr.Csr.shares`). A share writes the rows it
holds whole; the pieces of a row that is cut go to `head` and `tail` and are added afterwards. Integer sums do not
depend on where the cuts are. `floor` is 0 with ReLU, else minus infinity.
"""

# numba compiles these functions from the types of their arguments, and mypy cannot see through njit.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numba import njit, prange

INFINITY = np.float32(np.inf)


@njit(cache=True, nogil=True)
def add_four(acc, a, b, c, d, p, q, r, s):
    """acc += p a + q b + r c + s d: one load and one store of acc for four products; numba would widen to int64."""
    for k in range(len(acc)):
        acc[k] += (
            np.int32(p * np.int32(a[k]))
            + np.int32(q * np.int32(b[k]))
            + np.int32(r * np.int32(c[k]))
            + np.int32(s * np.int32(d[k]))
        )


@njit(cache=True, nogil=True)
def add_one(acc, a, p):
    """acc += p a."""
    for k in range(len(acc)):
        acc[k] += np.int32(p * np.int32(a[k]))


@njit(cache=True, nogil=True)
def add_rows(acc, indices, weights, x, begin, end):
    """Adds weight times row of x for entries [begin, end) to acc; returns the sum of the weights."""
    total = 0
    entry = begin
    while entry < end:
        many = entry + 4 <= end
        p = q = r = s = np.int32(1)
        if weights is not None:
            p = np.int32(weights[entry])
            if many:
                q, r, s = np.int32(weights[entry + 1]), np.int32(weights[entry + 2]), np.int32(weights[entry + 3])
        if many:
            a, b, c, d = indices[entry], indices[entry + 1], indices[entry + 2], indices[entry + 3]
            add_four(acc, x[a], x[b], x[c], x[d], p, q, r, s)
            total += p + q + r + s
            entry += 4
        else:
            add_one(acc, x[indices[entry]], p)
            total += p
            entry += 1
    return total


@njit(cache=True, nogil=True)
def code_of(y, floor, zero_point, qmin, qmax):
    """clip(rint(max(y, floor)) + zero_point), all float32; comparisons written so that LLVM vectorises them."""
    y = y if y > floor else floor  # noqa: FURB136
    y = np.rint(y) + zero_point
    y = y if y > qmin else qmin  # noqa: FURB136
    y = y if y < qmax else qmax  # noqa: FURB136
    return np.int8(np.int32(y))


@njit(cache=True, nogil=True)
def elu_step(y, thresholds):
    """A negative y becomes minus the number of (ascending) thresholds above it."""
    if y >= 0:
        return y
    low, high = 0, len(thresholds)
    while low < high:
        middle = (low + high) // 2
        if thresholds[middle] > y:
            high = middle
        else:
            low = middle + 1
    return np.float32(low - len(thresholds))


@njit(cache=True, nogil=True)
def factor_of(rows, row):
    """The factor of a row; 1 where `rows` is empty."""
    return rows[row] if len(rows) > 0 else 1.0


@njit(cache=True, nogil=True)
def requantize_row(out, acc, own, x_own, zero, factor, multiplier, offset, thresholds, floor, zero_point, qmin, qmax):
    """out int8 = clip(rint(float32((acc + own (x - zero)) * factor * M + B)) + zero_point), in this order."""
    for k in range(len(acc)):
        value = np.float64(acc[k])
        if own != 0.0:
            value = value + own * np.float64(np.int64(x_own[k]) - zero)
        y = np.float32(value * factor * multiplier[k] + offset[k])
        if len(thresholds) > 0:
            y = elu_step(y, thresholds)
        out[k] = code_of(y, floor, zero_point, qmin, qmax)


@njit(cache=True, nogil=True)
def sum_piece(acc, indices, weights, x, zero, begin, end):
    """acc = sum of weight (x - zero) over entries [begin, end)."""
    acc[:] = 0
    total = add_rows(acc, indices, weights, x, begin, end)
    if zero != 0:
        shift = zero * total
        for k in range(len(acc)):
            acc[k] -= shift


@njit(cache=True, nogil=True)
def share_sums(indptr, indices, weights, x, zero, begin, end, out, head, tail):
    """One share from (row, entry) `begin` to `end`: whole rows to out, the pieces of cut rows to head and tail."""
    (row, entry), (last, stop) = begin, end
    cut = entry > indptr[row]
    while row < last:
        sum_piece(head if cut else out[row], indices, weights, x, zero, entry, indptr[row + 1])
        entry = indptr[row + 1]
        row += 1
        cut = False
    sum_piece(tail, indices, weights, x, zero, entry, stop)


@njit(cache=True, nogil=True)
def share_codes(indptr, indices, weights, x, zero, own, begin, end, out, head, tail,
                factors, multiplier, offset, thresholds, floor, zero_point, qmin, qmax):  # fmt: skip
    """As `share_sums`, with the epilogue applied to whole rows while their sums are still in the cache."""
    (row, entry), (last, stop) = begin, end
    acc = np.empty_like(tail)
    cut = entry > indptr[row]
    while row < last:
        sum_piece(head if cut else acc, indices, weights, x, zero, entry, indptr[row + 1])
        if not cut:
            requantize_row(out[row], acc, own, x[row if own != 0.0 else 0], zero, factor_of(factors, row),
                           multiplier, offset, thresholds, floor, zero_point, qmin, qmax)  # fmt: skip
        entry = indptr[row + 1]
        row += 1
        cut = False
    sum_piece(tail, indices, weights, x, zero, entry, stop)


@njit(cache=True, nogil=True, parallel=True)
def spmm_sums(indptr, indices, weights, x, zero, rows, entries, out, head, tail):
    """out [rows, channels] of the accumulator's type; rows that are cut are completed by the caller."""
    for i in prange(len(rows) - 1):
        share_sums(indptr, indices, weights, x, zero, (rows[i], entries[i]), (rows[i + 1], entries[i + 1]),
                   out, head[i], tail[i])  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def spmm_codes(indptr, indices, weights, x, zero, own, rows, entries, out, head, tail,
               factors, multiplier, offset, thresholds, floor, zero_point, qmin, qmax):  # fmt: skip
    """out int8 [rows, channels]: sums and epilogue in one pass; rows that are cut are completed by the caller."""
    for i in prange(len(rows) - 1):
        share_codes(indptr, indices, weights, x, zero, own, (rows[i], entries[i]), (rows[i + 1], entries[i + 1]),
                    out, head[i], tail[i],
                    factors, multiplier, offset, thresholds, floor, zero_point, qmin, qmax)  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def gemm_codes(acc, by_row, by_column, weight_zero, out,
               factors, multiplier, offset, thresholds, floor, zero_point, qmin, qmax):  # fmt: skip
    """Epilogue of a dense product: acc int32 [rows, >= channels]; corrections for both zero points come in here."""
    for row in prange(len(out)):
        shift = weight_zero * by_row[row] if weight_zero != 0 else 0
        factor = factor_of(factors, row)
        for k in range(out.shape[1]):
            value = np.float64(np.int64(acc[row, k]) - by_column[k] - shift)
            y = np.float32(value * factor * multiplier[k] + offset[k])
            if len(thresholds) > 0:
                y = elu_step(y, thresholds)
            out[row, k] = code_of(y, floor, zero_point, qmin, qmax)


@njit(cache=True, nogil=True, parallel=True)
def combine_codes(acc, second, also, out, factors, multiplier, offset, thresholds, floor, zero_point, qmin, qmax):
    """Epilogue of sums at hand: acc and second [rows, channels]; second is empty where there is none."""
    two = len(second) > 0
    for row in prange(len(out)):
        factor = factor_of(factors, row)
        for k in range(out.shape[1]):
            value = np.float64(acc[row, k]) * factor * multiplier[k]
            if two:
                value = value + np.float64(second[row, k]) * also[k]
            y = np.float32(value + offset[k])
            if len(thresholds) > 0:
                y = elu_step(y, thresholds)
            out[row, k] = code_of(y, floor, zero_point, qmin, qmax)


@njit(cache=True, nogil=True, parallel=True)
def attention_codes(indptr, indices, source, target, table, first, inverse, high, rows, out):
    """Weights uint8 [entries, heads]: softmax in codes (`dqviz.integer.softmax`); rows cuts whole rows into shares."""
    heads = source.shape[1]
    for i in prange(len(rows) - 1):
        for row in range(rows[i], rows[i + 1]):
            for h in range(heads):
                base = np.int64(target[row, h]) - first
                total = 0.0
                for entry in range(indptr[row], indptr[row + 1]):
                    total += table[base + source[indices[entry], h]]
                for entry in range(indptr[row], indptr[row + 1]):
                    y = np.float32(table[base + source[indices[entry], h]] / total) * inverse
                    y = y if y < high else high  # noqa: FURB136
                    out[entry, h] = np.uint8(np.int32(np.rint(y)))


@njit(cache=True, nogil=True, parallel=True)
def quantize_codes(x, reciprocal, zero_point, qmin, qmax, out):
    """Codes of float32 x [rows, channels], every step in float32."""
    for row in prange(len(x)):
        for k in range(x.shape[1]):
            out[row, k] = code_of(x[row, k] * reciprocal, -INFINITY, zero_point, qmin, qmax)


@njit(cache=True, nogil=True)
def add_float(acc, indices, weights, x, begin, end):
    """As `sum_piece`, in float32."""
    acc[:] = 0
    entry = begin
    while entry + 4 <= end:
        a, b, c, d = x[indices[entry]], x[indices[entry + 1]], x[indices[entry + 2]], x[indices[entry + 3]]
        p, q, r, s = weights[entry], weights[entry + 1], weights[entry + 2], weights[entry + 3]
        for k in range(len(acc)):
            acc[k] += p * a[k] + q * b[k] + r * c[k] + s * d[k]
        entry += 4
    while entry < end:
        w, a = weights[entry], x[indices[entry]]
        for k in range(len(acc)):
            acc[k] += w * a[k]
        entry += 1


@njit(cache=True, nogil=True)
def share_float(indptr, indices, weights, x, begin, end, out, head, tail):
    """As `share_sums`, in float32."""
    (row, entry), (last, stop) = begin, end
    cut = entry > indptr[row]
    while row < last:
        add_float(head if cut else out[row], indices, weights, x, entry, indptr[row + 1])
        entry = indptr[row + 1]
        row += 1
        cut = False
    add_float(tail, indices, weights, x, entry, stop)


@njit(cache=True, nogil=True, parallel=True)
def spmm_float(indptr, indices, weights, x, rows, entries, out, head, tail):
    """Our FP32 kernel of the same design: the float peer that differs in nothing but the type."""
    for i in prange(len(rows) - 1):
        share_float(indptr, indices, weights, x, (rows[i], entries[i]), (rows[i + 1], entries[i + 1]),
                    out, head[i], tail[i])  # fmt: skip
