"""From one stock layer with quantizers to integer operations. One more kind of layer is one function and one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from torch_geometric.nn import GCNConv, GINConv, MessagePassing

from dqviz.errors import Unavailable
from dqviz.integer.codes import Float64, Grid, grid_of, quantize
from dqviz.integer.epilogue import Dequantize, Epilogue, Requantize
from dqviz.integer.ops import Gemm, Op, Spmm, Sum
from dqviz.integer.weight import Weight, weight_of
from dqviz.quant import QuantLinear


@dataclass(frozen=True)
class End:
    """How the sums of a layer are finished: codes of `out`, float logits (`out` None), or left as they are (`raw`)."""

    out: Grid | None = None
    relu: bool = False
    raw: bool = False


@dataclass(frozen=True, eq=False)
class Affine:
    """Real value of a sum: acc * scale + offset, float64 [channels]: product of steps, bias, folded batch norm."""

    scale: Float64
    offset: Float64

    def then(self, gain: Float64, shift: Float64) -> Affine:
        return Affine(self.scale * gain, self.offset * gain + shift)

    def epilogue(self, end: End) -> Epilogue | None:
        if end.raw:
            return None
        if end.out is None:
            return Dequantize(self.scale, self.offset)
        return Requantize(self.scale * end.out.inverse, self.offset * end.out.inverse, end.relu, end.out)


@dataclass(frozen=True)
class Lowered:
    """Operations of one layer, and what its sums mean (for a pool that finishes them)."""

    ops: list[Op]
    affine: Affine


def quantized_weight(linear: QuantLinear) -> Weight:
    grid = grid_of(linear.weight_q)
    codes = quantize(linear.weight.detach().numpy(), grid)
    return weight_of(np.ascontiguousarray(codes.T), grid)


def bias_of(bias: Any, channels: int) -> Float64:
    if bias is None:
        return np.zeros(channels)
    values: Float64 = bias.detach().numpy().astype(np.float64)
    return values


def product(linear: QuantLinear, source: Grid) -> tuple[Weight, Affine]:
    """The weight of a linear layer whose input has grid `source`, and what its sums mean."""
    weight = quantized_weight(linear)
    channels = linear.out_channels
    scale = np.full(channels, source.scale * weight.params.scale)
    return weight, Affine(scale, bias_of(linear.bias, channels))


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
        following = end if last else End(grid_of(blocks[index].linear.input_q), block.relu)
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


Lower = Callable[[Any, str, Grid, End], Lowered]


@dataclass(frozen=True)
class Kind:
    """How one kind of layer is lowered: the short name in timing tables, and the quantizer at its door."""

    arch: str
    door: Callable[[Any], Any]
    lower: Lower


KINDS: dict[type[MessagePassing], Kind] = {
    GCNConv: Kind("gcn", lambda conv: conv.lin.input_q, lower_gcn),
    GINConv: Kind("gin", lambda conv: conv.sites.message, lower_gin),
}


def kind_of(conv: nn.Module) -> Kind:
    """Raises Unavailable for a layer that has no integer form yet."""
    found = KINDS.get(type(conv))
    if found is None:
        known = ", ".join(kind.__name__ for kind in KINDS)
        raise Unavailable(f"No integer run of {type(conv).__name__} yet; there is one of: {known}.")
    return found
