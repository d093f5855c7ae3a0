"""x W^T for CSR features x: forward and backward touch only the stored values.

`embedding_bag` (FBGEMM) is the fastest float sparse product in torch on CPU; autograd's own backward of a CSR product
took 7 ms on Cora where the transposed structure takes 0.3 ms.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dqviz.quant.passes import row_of, sampled

T = TypeVar("T")
Key = tuple[int, ...]
_CACHE_SIZE = 8


@dataclass(frozen=True)
class Transposed:
    """Structure of x^T: `ptr` [columns + 1], `row` [nnz], `order` [nnz] (position of each entry in x's values)."""

    ptr: Tensor
    row: Tensor
    order: Tensor
    owners: tuple[Tensor, Tensor]  # x's structure is kept alive, so that its addresses stay a valid cache key


_cache: OrderedDict[Key, Transposed] = OrderedDict()


def transposed(x: Tensor) -> Transposed:
    """Transposed structure of CSR x, remembered for the last few structures (values may change, structure may not)."""
    crow, col = x.crow_indices(), x.col_indices()
    key = (crow.data_ptr(), col.data_ptr(), col.numel(), *x.shape)
    return remembered(_cache, key, lambda: turn(crow, col, (x.size(0), x.size(1))))


def turn(crow: Tensor, col: Tensor, shape: tuple[int, int]) -> Transposed:
    order = torch.argsort(col, stable=True)
    return Transposed(pointers(col, shape[1]), row_of(crow)[order], order, (crow, col))


def pointers(index: Tensor, size: int) -> Tensor:
    """[size + 1]: where the run of each of 0 ... size - 1 begins, once they are sorted."""
    ptr = torch.zeros(size + 1, dtype=index.dtype)
    ptr[1:] = torch.bincount(index, minlength=size).cumsum(0)
    return ptr


def remembered(cache: OrderedDict[Key, T], key: Key, make: Callable[[], T]) -> T:
    """What was made for this key; the last few are kept."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > _CACHE_SIZE:
            cache.popitem(last=False)
    return cache[key]


def spmm(ptr: Tensor, index: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """Rows of a CSR matrix (ptr, index, values) times dense [columns, channels]."""
    return F.embedding_bag(index, dense, ptr, mode="sum", per_sample_weights=values, include_last_offset=True)


def with_values(x: Tensor, values: Tensor) -> Tensor:
    """CSR tensor with the structure of x (shared, not copied) and other values [nnz].

    Values that ask for a gradient go along as an attribute: autograd of a CSR tensor's own values builds a dense mask
    in every backward pass, 4 ms on Cora.
    """
    out = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values.detach(), x.shape, check_invariants=False)
    if values.requires_grad:
        out.stored = values  # type: ignore[attr-defined]
    return out


def stored(x: Tensor) -> Tensor:
    """Stored values [nnz] of CSR x, with what they know about their gradient."""
    values: Tensor | None = getattr(x, "stored", None)
    return x.values() if values is None else values


def opened(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """(values, None) of dense rows; (stored values [nnz], where rows begin [rows + 1]) of CSR rows."""
    return (stored(x), x.crow_indices()) if x.layout == torch.sparse_csr else (x, None)


def same_values(values: Tensor, x: Tensor) -> bool:
    """Whether they are the very numbers of x (the data set's own features, say), not a result."""
    if values.layout != x.layout or values.shape != x.shape:
        return False
    pair = (values.values(), x.values()) if x.layout == torch.sparse_csr else (values, x)
    return pair[0].data_ptr() == pair[1].data_ptr()


class _SparseLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, x: Tensor) -> Tensor:
        ctx.x = x
        ctx.save_for_backward(values, weight)
        return spmm(x.crow_indices(), x.col_indices(), values, weight.t().contiguous())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (grad,) = grads
        values, weight = ctx.saved_tensors
        turned = transposed(ctx.x)
        ordered = values.index_select(0, turned.order)
        to_weight = spmm(turned.ptr, turned.row, ordered, grad.contiguous()).t()
        return (sampled(ctx.x, grad, weight.t()) if ctx.needs_input_grad[0] else None), to_weight, None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [rows, in] dense or CSR, weight [out, in] -> [rows, out].

    Of CSR x the stored values get a gradient where they ask for one (a learned step is behind them).
    """
    if x.layout != torch.sparse_csr:
        return F.linear(x, weight, bias)
    out: Tensor = _SparseLinear.apply(stored(x), weight, x)  # type: ignore[no-untyped-call]
    return out if bias is None else out + bias
