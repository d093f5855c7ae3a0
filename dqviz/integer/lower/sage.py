"""SAGE: the mean of neighbours to codes of the first product's INPUT, then two products added in one epilogue."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch_geometric.nn.aggr import MeanAggregation

from dqviz.errors import Unavailable
from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.epilogue import Requantize
from dqviz.integer.lower.base import Affine, End, Lowered, product
from dqviz.integer.ops import Gemm, Mean, Op, Pair


def lower_sage(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """mean W_l + x W_r + bias; the root term reads the codes that entered the layer."""
    if not isinstance(conv.aggr_module, MeanAggregation) or conv.normalize or conv.project:
        raise Unavailable("No integer run: of SAGE only the mean of neighbours, without normalisation or projection.")
    middle, channels = grid_of(conv.lin_l.input_q), conv.lin_l.in_channels
    requantize = Requantize(np.full(channels, source.scale * middle.inverse), np.zeros(channels), False, middle)
    ops: list[Op] = [Mean(f"{name}/mean", f"{name}/in", f"{name}/mean", requantize)]
    weight, affine = product(conv.lin_l, middle)
    if not conv.root_weight:
        ops.append(Gemm(f"{name}/gemm", f"{name}/mean", f"{name}/out", weight, affine.epilogue(end)))
        return Lowered(ops, affine)
    root, own = product(conv.lin_r, source)
    affine = Affine(affine.scale, affine.offset + own.offset, also=own.scale)
    ops.append(Pair(f"{name}/gemm", f"{name}/mean", f"{name}/out", weight, f"{name}/in", root, affine.epilogue(end)))
    return Lowered(ops, affine)
