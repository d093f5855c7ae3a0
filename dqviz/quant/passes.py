"""Passes over the values of one site: what it sees, its fake quantization, its clipped gradient.

In C where the library is built (`c/passes.c`), each as one walk over memory; else in torch. Both give the same bits,
but for the sums of `learned` and `sampled`, which are added up in another order. A quantizer on a small graph is many
short passes: on Cora the C ones take a third of torch's time.
"""

from __future__ import annotations

import os
from ctypes import POINTER, Structure, byref, c_double, c_float, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from dqviz.quant.extension import built_library

VERSION = 4


class Protected(NamedTuple):
    """Which rows stay as they are: `rows` [num_rows] bool; `ptr` [num_rows + 1] where x is those of a CSR matrix."""

    rows: Tensor
    ptr: Tensor | None = None

    def mask(self, x: Tensor) -> Tensor:
        """The same as a mask that broadcasts to x."""
        return over_values(self.rows, self.ptr, x)

    def count(self, x: Tensor) -> int:
        """How many values of x are protected."""
        if self.ptr is not None:
            return int(self.ptr.diff()[self.rows].sum())
        return int(self.rows.count_nonzero()) * (x.numel() // max(self.rows.numel(), 1))


class Copies(NamedTuple):
    """How many values each of a row's stands for: `rows` [num_rows] int64.

    `silent` [num_rows] bool: rows that stand for none; None where there is none such. `ptr` [num_rows + 1] where x is
    those of a CSR matrix.
    """

    rows: Tensor
    silent: Tensor | None = None
    ptr: Tensor | None = None

    @classmethod
    def of(cls, rows: Tensor) -> Copies:
        silent = rows == 0
        return cls(rows, silent if silent.any() else None)

    def by_value(self, x: Tensor) -> Tensor:
        """Of each value, in the shape of x."""
        return over_values(self.rows, self.ptr, x).expand_as(x)


def over_values(of_rows: Tensor, ptr: Tensor | None, x: Tensor) -> Tensor:
    """What is told of rows [num_rows], so that it broadcasts to x, or of each value of CSR rows that begin at `ptr`."""
    return of_rows.view(-1, *[1] * (x.dim() - 1)) if ptr is None else of_rows.repeat_interleave(ptr.diff())


class Seen(NamedTuple):
    """What one look at the values tells. A protected value counts as 0, which lies in every range.

    low, high: extremes (NaN where a value is NaN). nonzero: values that are not 0; below, above: those beyond the two
    ends asked about. The counts are only right where low or high lies beyond an end.
    """

    low: float
    high: float
    nonzero: int
    below: int
    above: int


def shown(x: Tensor, protected: Protected | None) -> Tensor:
    """x with protected values shown as 0."""
    return x.detach() if protected is None else x.detach().masked_fill(protected.mask(x), 0.0)


def look(x: Tensor, protected: Protected | None, lo: float, hi: float) -> Seen:
    """What values x (any shape, not empty) hold, seen from the ends lo and hi."""
    if in_c(x, protected):
        seen = _Seen()
        library().dqviz_look(byref(_values(x, protected)), lo, hi, byref(seen))
        return Seen(seen.low, seen.high, seen.nonzero, seen.below, seen.above)
    values = shown(x, protected)
    low, high = (end.item() for end in torch.aminmax(values))
    if low >= lo and high <= hi:
        return Seen(low, high, 0, 0, 0)
    counts = (torch.count_nonzero(part).item() for part in (values, values < lo, values > hi))
    return Seen(low, high, *map(int, counts))


def counts(x: Tensor, protected: Protected | None, copies: Copies, lo: float, hi: float) -> tuple[int, int, int]:
    """How many values x are not 0, below lo, above hi, each as often as `copies` says."""
    if in_c(x, protected) and copies.rows.is_contiguous():
        found = (c_int64 * 3)()
        rows, ptr = (None if one is None else one.data_ptr() for one in (protected and protected.rows, copies.ptr))
        count = copies.rows.numel()
        values = _Values(x.data_ptr(), rows, ptr, count, 0 if ptr else x.numel() // max(count, 1))
        library().dqviz_counts(byref(values), copies.rows.data_ptr(), lo, hi, found)
        return found[0], found[1], found[2]
    seen, often = shown(x, protected), copies.by_value(x)
    nonzero, below, above = (int(often[part].sum()) for part in (seen != 0, seen < lo, seen > hi))
    return nonzero, below, above


def beyond(x: Tensor, protected: Protected | None, end: float, k: int, count: int, upper: bool) -> float:
    """The k-th value beyond `end` counted from outside, exactly; `count` >= k values lie there. `upper`: above it."""
    if in_c(x, protected):
        room = torch.empty(count)
        found = library().dqviz_beyond(
            byref(_values(x, protected)), end, -1.0 if upper else 1.0, k, c_void_p(room.data_ptr())
        )
        return float(found)
    values = shown(x, protected).reshape(-1)
    tail = values[values > end] if upper else values[values < end]
    return tail.kthvalue(tail.numel() + 1 - k if upper else k).values.item()


def fake(x: Tensor, protected: Protected | None, inverse: float, scale: float, low: int, high: int) -> Tensor:
    """[like x] protected values as they are, the rest clip(rint(x * inverse), low, high) * scale.

    A float64 x (a model evaluated in double, whose sums are free of noise) is rounded in float32 all the same: ranges
    learned on quantized values make sums fall on rounding ties exactly, and float64 would see those a hair beside.
    """
    if in_c(x, protected):
        out = torch.empty_like(x)
        library().dqviz_fake(byref(_values(x, protected)), out.data_ptr(), inverse, scale, low, high)
        return out
    steps = x.detach() * inverse
    if x.dtype == torch.float64:
        steps = steps.float().double()
    out = steps.round_().clamp_(low, high).mul_(scale)
    return out if protected is None else torch.where(protected.mask(x), x.detach(), out)


def inside(grad: Tensor, quantized: Tensor, protected: Protected | None, low: float, high: float) -> Tensor:
    """grad, but 0 where an unprotected quantized value does not lie between low and high. All of one shape."""
    if in_c(quantized, protected) and in_c(grad, None):
        out = torch.empty_like(grad)
        library().dqviz_inside(byref(_values(quantized, protected)), grad.data_ptr(), out.data_ptr(), low, high)
        return out
    kept = quantized.gt(low).logical_and_(quantized.lt(high))
    if protected is not None:
        kept = kept.logical_or_(protected.mask(quantized))
    return torch.where(kept, grad, 0.0)


def learned(
    grad: Tensor, x: Tensor, protected: Protected | None, inverse: float, low: int, high: int
) -> tuple[Tensor, float, float]:
    """Gradients of a learned step: to x (0 where an unprotected value is clipped), and two sums over what is quantized.

    The sums: grad times (code - x * inverse) inside and times the code outside; grad outside.
    """
    if in_c(x, protected) and in_c(grad, None):
        out, sums = torch.empty_like(grad), (c_double * 2)()
        library().dqviz_learned(byref(_values(x, protected)), grad.data_ptr(), out.data_ptr(), inverse, low, high, sums)
        return out, sums[0], sums[1]
    steps = x * inverse
    within = steps.gt(low).logical_and_(steps.lt(high))
    counted = grad if protected is None else grad.masked_fill(protected.mask(x), 0.0)
    outside = counted.masked_fill(within, 0.0)
    codes = steps.round().clamp_(low, high)
    to_step = (counted * torch.where(within, codes - steps, codes)).sum().item()
    return grad - outside, to_step, outside.sum().item()


def sampled(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left [rows, channels] times right [columns, channels]^T, only where CSR x holds a value: [nnz]."""
    ptr, columns = x.crow_indices(), x.col_indices()
    left, right = left.contiguous(), right.contiguous()
    if in_c(left, None) and in_c(right, None) and ptr.dtype == columns.dtype == torch.int64:
        out = torch.empty(columns.numel())
        library().dqviz_sampled(ptr.data_ptr(), columns.data_ptr(), x.size(0), left.data_ptr(), right.data_ptr(),
                                left.size(1), out.data_ptr())  # fmt: skip
        return out
    row = row_of(ptr)
    return (left.index_select(0, row) * right.index_select(0, columns)).sum(1)


def row_of(ptr: Tensor) -> Tensor:
    """The row of each value [nnz] that is stored in CSR rows, from where these begin [rows + 1]."""
    return torch.arange(ptr.numel() - 1).repeat_interleave(ptr.diff())


class _Values(Structure):
    _fields_: ClassVar = [
        ("x", c_void_p), ("rows", c_void_p), ("ptr", c_void_p), ("num_rows", c_int64), ("columns", c_int64),
    ]  # fmt: skip


class _Seen(Structure):
    _fields_: ClassVar = [
        ("low", c_float), ("high", c_float), ("nonzero", c_int64), ("below", c_int64), ("above", c_int64),
    ]  # fmt: skip


def _values(x: Tensor, protected: Protected | None) -> _Values:
    if protected is None:
        return _Values(x.data_ptr(), None, None, 1, x.numel())
    rows, ptr = protected
    count = rows.numel()
    return _Values(x.data_ptr(), rows.data_ptr(), None if ptr is None else ptr.data_ptr(), count,
                   0 if ptr is not None or not count else x.numel() // count)  # fmt: skip


def in_c(x: Tensor, protected: Protected | None) -> bool:
    """Whether the C library takes these: float32 in one piece, masks in one piece."""
    return (
        x.dtype == torch.float32
        and x.is_contiguous()
        and x.device.type == "cpu"
        and (protected is None or protected.rows.is_contiguous())
        and built()
    )


@cache
def built() -> bool:
    """Whether there is a library."""
    return not isinstance(library(), str)


@cache
def library() -> Any:
    """The built library, or the reason why there is none, in words. DQVIZ_PASSES: another folder (sanitizer builds)."""
    folder = Path(os.environ.get("DQVIZ_PASSES") or Path(__file__).parent)
    loaded = built_library(folder, "_passes", "native quantizers")
    if isinstance(loaded, str):
        return loaded
    loaded.dqviz_passes_version.restype = c_int32
    if loaded.dqviz_passes_version() != VERSION:
        return "native quantizers: built from other sources (run the set-up command again)"
    values = POINTER(_Values)
    loaded.dqviz_look.argtypes, loaded.dqviz_look.restype = [values, c_float, c_float, POINTER(_Seen)], None
    loaded.dqviz_beyond.argtypes = [values, c_float, c_float, c_int64, c_void_p]
    loaded.dqviz_beyond.restype = c_float
    loaded.dqviz_counts.argtypes = [values, c_void_p, c_float, c_float, c_void_p]
    loaded.dqviz_counts.restype = None
    loaded.dqviz_fake.argtypes = [values, c_void_p, c_float, c_float, c_float, c_float]
    loaded.dqviz_fake.restype = None
    loaded.dqviz_learned.argtypes = [values, c_void_p, c_void_p, c_float, c_float, c_float, c_void_p]
    loaded.dqviz_sampled.argtypes = [c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_int64, c_void_p]
    loaded.dqviz_learned.restype = loaded.dqviz_sampled.restype = None
    loaded.dqviz_inside.argtypes, loaded.dqviz_inside.restype = [values, c_void_p, c_void_p, c_float, c_float], None
    return loaded
