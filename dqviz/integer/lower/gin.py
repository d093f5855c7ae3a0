"""GIN: the sum of neighbours and the node's own row to codes of the MLP's first INPUT, then the MLP's products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from dqviz.errors import Unavailable
from dqviz.integer.codes import Grid
from dqviz.integer.epilogue import Requantize
from dqviz.integer.lower.base import Affine, End, Lowered, bias_of, ended, product
from dqviz.integer.ops import Gemm, Op, Sum
from dqviz.integer.rows import SumRescale
from dqviz.integer.steps import inner_grid
from dqviz.quant import QuantLinear


def lower_gin(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """Sum of neighbours and own row to codes of the MLP's first INPUT, then its products."""
    blocks = list(mlp_blocks(conv.nn))
    first = gathered(conv, name, source, blocks[0].linear)
    ops: list[Op] = [first]
    grid, affine = first.out or source, Affine(np.ones(1), np.zeros(1))
    for index, block in enumerate(blocks, start=1):
        last = index == len(blocks)
        following = end if last else end_at(blocks[index].linear, block.relu)
        if last and block.changes:
            raise Unavailable("No integer run: the MLP of a GIN layer must end in a linear layer.")
        weight, affine = product(block.linear, grid)
        affine = block.fold(affine)
        target = f"{name}/out" if last else f"{name}/gemm{index + 1}/in"
        ops += ended(Gemm(f"{name}/gemm{index}", f"{name}/gemm{index}/in", target, weight, None), affine, following)
        grid = following.out or grid
    return Lowered(ops, affine)


def gathered(conv: Any, name: str, source: Grid, linear: QuantLinear) -> Sum | SumRescale:
    """The sum, to codes of the linear layer's INPUT."""
    grid, rows = inner_grid(linear.input_q)
    places = f"{name}/sum", f"{name}/in", f"{name}/gemm1/in"
    own, scale = float(np.float32(1) + np.float32(conv.eps.item())), source.steps(linear.in_channels)
    if rows is not None:
        return SumRescale(*places, grid, rows, own, scale)
    return Sum(*places, own, Requantize(scale * grid.inverse, np.zeros(len(scale)), False, grid))


def end_at(linear: QuantLinear, relu: bool) -> End:
    """Codes of the INPUT of a linear layer."""
    grid, rows = inner_grid(linear.input_q)
    return End(grid, "relu" if relu else "", rows=rows)


@dataclass
class Block:
    """A linear layer of an MLP with what follows it: batch norm, ReLU."""

    linear: QuantLinear
    norm: nn.BatchNorm1d | None = None
    relu: bool = False

    @property
    def changes(self) -> bool:
        return self.relu or self.norm is not None

    def fold(self, affine: Affine) -> Affine:
        """Batch norm in evaluation is an affine map of each channel."""
        norm = self.norm
        if norm is None:
            return affine
        if norm.running_mean is None or norm.running_var is None:
            raise Unavailable("No integer run: batch normalisation without running statistics.")
        mean, variance = (t.double().numpy() for t in (norm.running_mean, norm.running_var))
        gain = bias_of(norm.weight, norm.num_features) if norm.affine else np.ones(norm.num_features)
        gain = gain / np.sqrt(variance + norm.eps)
        return affine.then(gain, bias_of(norm.bias, norm.num_features) - mean * gain)


def mlp_blocks(mlp: nn.Module) -> Iterator[Block]:
    """Blocks of a Sequential of QuantLinear, BatchNorm1d and ReLU (or of a single QuantLinear)."""
    blocks: list[Block] = []
    for module in mlp if isinstance(mlp, nn.Sequential) else [mlp]:
        if isinstance(module, QuantLinear):
            blocks.append(Block(module))
        elif isinstance(module, nn.BatchNorm1d) and blocks and not blocks[-1].changes:
            blocks[-1].norm = module
        elif isinstance(module, nn.ReLU) and blocks:
            blocks[-1].relu = True
        elif not isinstance(module, nn.Dropout | nn.Identity):
            raise Unavailable(f"No integer run: {type(module).__name__} at this place of an MLP is not known.")
    yield from blocks
