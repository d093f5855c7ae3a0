"""GCN: the product to codes of FEATURE, then the sum weighted by quantized coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.lower.base import Affine, End, Lowered, bias_of, product
from dqviz.integer.ops import Gemm, Spmm


def lower_gcn(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """x W to codes of FEATURE, then the weighted sum, + bias, to the next layer's codes."""
    weight, affine = product(conv.lin, source)
    feature, norm = grid_of(conv.lin.feature_q), grid_of(conv.sites.norm)
    channels = conv.lin.out_channels
    sums = Affine(np.full(channels, feature.scale * norm.scale), bias_of(conv.bias, channels))
    gemm = Gemm(f"{name}/gemm", f"{name}/in", f"{name}/feature", weight, affine.epilogue(End(feature)))
    spmm = Spmm(f"{name}/spmm", f"{name}/feature", f"{name}/out", norm, bool(conv.improved),
                bool(conv.add_self_loops), sums.epilogue(end))  # fmt: skip
    return Lowered([gemm, spmm], sums)
