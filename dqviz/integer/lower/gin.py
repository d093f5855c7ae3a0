"""GIN: the sum of neighbours and the node's own row to codes of the MLP's first INPUT, then the MLP's products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from dqviz.errors import Unavailable
from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.epilogue import Requantize
from dqviz.integer.lower.base import Affine, End, Lowered, bias_of, product
from dqviz.integer.ops import Gemm, Op, Sum
from dqviz.quant import QuantLinear


def lower_gin(conv: Any, name: str, source: Grid, end: End) -> Lowered:
    """Sum of neighbours and own row to codes of the MLP's first INPUT, then its products."""
    blocks = list(mlp_blocks(conv.nn))
    first = grid_of(blocks[0].linear.input_q)
    channels = blocks[0].linear.in_channels
    requantize = Requantize(np.full(channels, source.scale * first.inverse), np.zeros(channels), False, first)
    own = float(np.float32(1) + np.float32(conv.eps.item()))
    ops: list[Op] = [Sum(f"{name}/sum", f"{name}/in", f"{name}/gemm1/in", own, requantize)]
    grid, affine = first, Affine(np.ones(1), np.zeros(1))
    for index, block in enumerate(blocks, start=1):
        last = index == len(blocks)
        following = end if last else End(grid_of(blocks[index].linear.input_q), "relu" if block.relu else "")
        if last and block.changes:
            raise Unavailable("No integer run: the MLP of a GIN layer must end in a linear layer.")
        weight, affine = product(block.linear, grid)
        affine = block.fold(affine)
        target = f"{name}/out" if last else f"{name}/gemm{index + 1}/in"
        ops.append(Gemm(f"{name}/gemm{index}", f"{name}/gemm{index}/in", target, weight, affine.epilogue(following)))
        grid = following.out or grid
    return Lowered(ops, affine)


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
