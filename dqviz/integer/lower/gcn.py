"""GCN: the product to codes of FEATURE, then the sum weighted by quantized coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.lower.base import Affine, End, Lowered, bias_of, product
from dqviz.integer.ops import Gemm, Spmm
from dqviz.integer.steps import NodeSteps, steps_of
from dqviz.quant.folded import FoldedQuantizer


def lower_gcn(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """x W to codes of FEATURE, then the weighted sum, + bias, to the next layer's codes.

    Steps of nodes at FEATURE come in as a factor of the product's rows, and leave with the coefficients.
    """
    weight, affine = product(conv.lin, source)
    feature, steps = feature_of(conv)
    norm = grid_of(conv.sites.norm)
    channels = conv.lin.out_channels
    sums = Affine(np.full(channels, feature.scale * norm.scale), bias_of(conv.bias, channels))
    gemm = Gemm(f"{name}/gemm", f"{name}/in", f"{name}/feature", weight, affine.epilogue(End(feature)), steps)
    spmm = Spmm(f"{name}/spmm", f"{name}/feature", f"{name}/out", norm, bool(conv.improved),
                bool(conv.add_self_loops), sums.epilogue(end), steps)  # fmt: skip
    return Lowered([gemm, spmm], sums)


def feature_of(conv: Any) -> tuple[Grid, NodeSteps | None]:
    """The grid of x W, and the steps of its rows where coefficients absorb them."""
    quantizer = conv.lin.feature_q
    folds = isinstance(conv.sites.norm, FoldedQuantizer) and conv.sites.norm.source is quantizer
    return steps_of(quantizer) if folds else (grid_of(quantizer), None)
