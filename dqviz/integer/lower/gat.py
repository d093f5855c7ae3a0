"""GAT: the product to codes of FEATURE, scores of each node, softmax over its edges, the weighted sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from dqviz.errors import Unavailable
from dqviz.integer.attention import Attend, Scores
from dqviz.integer.codes import Float64, Grid, Int64, grid_of, quantize
from dqviz.integer.epilogue import Requantize
from dqviz.integer.lower.base import Affine, End, Lowered, bias_of, product
from dqviz.integer.ops import Gemm
from dqviz.integer.softmax import softmax_of
from dqviz.integer.weight import Weight, weight_of


def lower_gat(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """x W to codes of FEATURE; their dot products with a to codes of ALPHA; attention in codes of NORM; sums + bias."""
    check(conv)
    weight, affine = product(conv.lin, source)
    feature, alpha, norm = (grid_of(site) for site in (conv.lin.feature_q, conv.sites.alpha, conv.sites.norm))
    beside = bool(conv.concat) or conv.heads == 1  # one head: nothing to add, so kernels finish its sums
    channels = conv.heads * conv.out_channels if beside else conv.out_channels
    share = 1.0 if beside else 1.0 / conv.heads
    sums = Affine(np.full(channels, feature.scale * norm.scale * share), bias_of(conv.bias, channels))
    place = f"{name}/feature", f"{name}/scores", f"{name}/out"
    gemm = Gemm(f"{name}/gemm", f"{name}/in", place[0], weight, affine.epilogue(End(feature)))
    softmax = softmax_of(alpha, norm, float(conv.negative_slope))
    attend = Attend(f"{name}/attention", place[0], place[2], place[1], softmax, bool(conv.add_self_loops),
                    beside, sums.epilogue(end))  # fmt: skip
    return Lowered([gemm, scores(conv, name, feature, alpha), attend], sums)


def check(conv: Any) -> None:
    if conv.sites.profile != "integer":
        raise Unavailable("No integer run: GAT in site profile 'paper' has no codes of its attention coefficients; "
                          "train it in site profile 'integer'.")  # fmt: skip
    if conv.lin is None or conv.res is not None or conv.lin_edge is not None:
        raise Unavailable("No integer run: of GAT only one set of nodes, without edge features or residuals.")


def scores(conv: Any, name: str, feature: Grid, alpha: Grid) -> Scores:
    """Each node's part of its edges' logits, as a source and as a target: x a for both vectors a and every head."""
    parts: list[tuple[Int64, Grid]] = []
    for vector in ("att_src", "att_dst"):
        original = getattr(conv.parametrizations, vector)
        grid = grid_of(original[0])
        centred = quantize(original.original.detach().numpy(), grid).astype(np.int64) - grid.zero_point
        parts.append((block_diagonal(centred.reshape(conv.heads, conv.out_channels)), grid))
    products = []
    for centred, steps in joined(parts, conv.heads):
        multiplier = steps * feature.scale * alpha.inverse
        products.append((weight_of_centred(centred), Requantize(multiplier, np.zeros_like(multiplier), False, alpha)))
    return Scores(f"{name}/scores", f"{name}/feature", f"{name}/scores", tuple(products), tuple(g for _, g in parts))


def block_diagonal(vectors: Int64) -> Int64:
    """[heads, channels] -> [heads * channels, heads]: one product gives every head's sum."""
    heads, channels = vectors.shape
    out = np.zeros((heads, channels, heads), np.int64)
    out[np.arange(heads), :, np.arange(heads)] = vectors
    return out.reshape(heads * channels, heads)


def joined(parts: list[tuple[Int64, Grid]], heads: int) -> list[tuple[Int64, Float64]]:
    """(centred codes, step of each output): one product where 8 bits hold both vectors' codes, else one a vector."""
    steps = [np.full(heads, grid.scale) for _, grid in parts]
    together = np.concatenate([centred for centred, _ in parts], axis=1)
    if np.ptp(together) <= 255:
        return [(together, np.concatenate(steps))]
    return [(centred, step) for (centred, _), step in zip(parts, steps, strict=True)]


def weight_of_centred(centred: Int64) -> Weight:
    """A weight of 8 bits from centred codes that span at most 255, 0 among them."""
    zero = int(np.clip(0, -128 - centred.min(), 127 - centred.max()))
    return weight_of((centred + zero).astype(np.int8), Grid(1.0, zero, 8))
