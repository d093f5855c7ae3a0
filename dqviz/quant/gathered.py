"""Sums over neighbours of CSR rows: only stored values are touched, and the sum is CSR again.

On Cora 1.3 % of the features are stored and 5 % of their sums, so a layer that sums before any product (GIN) is spared
passes over 3.9 million numbers, nearly all of them zero. A quantizer keeps 0 at 0 exactly, so what is not stored stays
right. Sums run over the edges of a node in their order, as those of dense rows do.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_CACHE_SIZE = 8


@dataclass(frozen=True)
class Sum:
    """Structure of A x, with a place for each entry of x itself.

    `crow`, `col`: CSR of the sum. Its entry i adds x's values `source[ptr[i]:ptr[i + 1]]`; x's own entry j lies at
    `own[j]`. `shape` is x's.
    """

    crow: Tensor
    col: Tensor
    ptr: Tensor
    source: Tensor
    own: Tensor
    shape: tuple[int, int]
    owners: tuple[Tensor, ...]  # kept alive, so that their addresses stay a valid cache key


_cache: OrderedDict[tuple[int, ...], Sum] = OrderedDict()


def sum_of(x: Tensor, edge_index: Tensor) -> Sum:
    """Structure for CSR x [num_nodes, num_features] and edge_index [2, num_edges]; the last few are remembered."""
    crow, col = x.crow_indices(), x.col_indices()
    key = (crow.data_ptr(), col.data_ptr(), col.numel(), edge_index.data_ptr(), edge_index.size(1), *x.shape)
    if key not in _cache:
        _cache[key] = structure(crow, col, edge_index, (x.size(0), x.size(1)))
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    return _cache[key]


def structure(crow: Tensor, col: Tensor, edge_index: Tensor, shape: tuple[int, int]) -> Sum:
    source, target = edge_index
    stored = crow.diff()
    counts = stored.index_select(0, source)
    first = counts.cumsum(0) - counts
    position = torch.arange(int(counts.sum())) + (crow[source] - first).repeat_interleave(counts)
    place = target.repeat_interleave(counts) * shape[1] + col[position]
    mine = torch.arange(shape[0]).repeat_interleave(stored) * shape[1] + col
    places = torch.unique(torch.cat([place, mine]))  # sorted: row by row, column by column
    order = torch.argsort(place, stable=True)
    entry = torch.searchsorted(places, place)
    return Sum(
        pointers(places // shape[1], shape[0]), places % shape[1], pointers(entry, places.numel()), position[order],
        torch.searchsorted(places, mine), shape, (crow, col, edge_index),
    )  # fmt: skip


def pointers(index: Tensor, size: int) -> Tensor:
    """[size + 1]: where the run of each of 0 ... size - 1 begins, once they are sorted."""
    ptr = torch.zeros(size + 1, dtype=torch.long)
    ptr[1:] = torch.bincount(index, minlength=size).cumsum(0)
    return ptr


def neighbour_sum(x: Tensor, edge_index: Tensor) -> tuple[Tensor, Sum]:
    """A x of CSR x as CSR, and its structure."""
    found = sum_of(x, edge_index)
    values = F.embedding_bag(found.source, x.values()[:, None], found.ptr, mode="sum", include_last_offset=True)[:, 0]
    return as_csr(found, values), found


def add_own(total: Tensor, found: Sum, own: Tensor, factor: Tensor) -> Tensor:
    """total + factor x for CSR `total` of this structure and CSR x it was made for."""
    return as_csr(found, total.values().index_add(0, found.own, factor * own.values()))


def as_csr(found: Sum, values: Tensor) -> Tensor:
    return torch.sparse_csr_tensor(found.crow, found.col, values, found.shape, check_invariants=False)
