"""GCN: the product to codes of FEATURE, then the sum weighted by quantized coefficients."""

from __future__ import annotations

from typing import Any

from dqviz.integer.codes import Grid, grid_of, require_narrow
from dqviz.integer.columns import column_grid
from dqviz.integer.lower.base import Affine, End, Lowered, bias_of, ended, product
from dqviz.integer.ops import Gemm, Spmm
from dqviz.integer.steps import NodeSteps, node_steps
from dqviz.quant.folded import FoldedQuantizer


def lower_gcn(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """x W to codes of FEATURE, then the weighted sum, + bias, to the next layer's codes.

    Steps of nodes are factors of the product's rows; those of FEATURE leave with the coefficients. Steps of columns
    are part of the multipliers. Where the next layer's rows have grids of their own (A2Q), its codes are made of the
    sums by an operation of its own.
    """
    weight, affine = product(conv.lin, source)
    _, before = node_steps(conv.lin.input_q)
    feature, steps = feature_of(conv)
    norm = grid_of(conv.sites.norm) if steps is None else folded_grid(conv.sites.norm)
    channels = conv.lin.out_channels
    sums = Affine(feature.steps(channels) * norm.scale, bias_of(conv.bias, channels))
    gemm = Gemm(f"{name}/gemm", f"{name}/in", f"{name}/feature", weight, affine.epilogue(End(feature)), before, steps)
    spmm = Spmm(f"{name}/spmm", f"{name}/feature", f"{name}/out", norm, bool(conv.improved),
                bool(conv.add_self_loops), None, steps)  # fmt: skip
    return Lowered([gemm, *ended(spmm, sums, end)], sums)


def folds(conv: Any) -> bool:
    """Whether coefficients absorb steps of nodes; sums of different nodes then have different steps."""
    norm = conv.sites.norm
    return isinstance(norm, FoldedQuantizer) and norm.weighted is conv.lin.feature_q


def feature_of(conv: Any) -> tuple[Grid, NodeSteps | None]:
    """The grid of x W, and the steps of its rows where coefficients absorb them."""
    return node_steps(conv.lin.feature_q) if folds(conv) else (column_grid(conv.lin.feature_q), None)


def folded_grid(norm: FoldedQuantizer) -> Grid:
    """Codes of coefficients in steps of their targets: the step of the grid is 1, zero its lowest code."""
    require_narrow(norm)
    return Grid(1.0, -(1 << (norm.qtype.bits - 1)), norm.qtype.bits, norm.key)
