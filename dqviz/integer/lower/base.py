"""What every layer's lowering is made of: how its sums end, what they mean, and the weight of a linear layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from dqviz.errors import Unavailable
from dqviz.integer.codes import Float64, Grid, quantize
from dqviz.integer.columns import row_grid
from dqviz.integer.epilogue import Dequantize, Epilogue, Requantize, elu_thresholds
from dqviz.integer.ops import Gemm, Op, Spmm
from dqviz.integer.rows import Rescale
from dqviz.integer.steps import RowGrids
from dqviz.integer.weight import Weight, weight_of
from dqviz.quant import QuantLinear

Activation = Literal["", "relu", "elu"]


@dataclass(frozen=True)
class End:
    """How the sums of a layer are finished: codes of `out`, or where that is None one of three.

    Float logits; left as they are (`raw`), for a pool that adds integers; or `unit` > 0: reals in steps of that size,
    for a pool that adds fixed-point numbers. `rows`: rows of `out` have steps and bits of their own.
    """

    out: Grid | None = None
    activation: Activation = ""
    raw: bool = False
    unit: float = 0.0
    rows: RowGrids | None = None


@dataclass(frozen=True, eq=False)
class Affine:
    """Real value of a sum: acc * scale + offset, float64 [channels]: product of steps, bias, folded batch norm.

    `also`: of a second sum, where a layer adds two (SAGE).
    """

    scale: Float64
    offset: Float64
    also: Float64 | None = None

    def then(self, gain: Float64, shift: Float64) -> Affine:
        return Affine(self.scale * gain, self.offset * gain + shift)

    def epilogue(self, end: End) -> Epilogue | None:
        if end.raw:
            return None
        inverse = end.out.inverses if end.out else np.array(1 / end.unit if end.unit else 1.0)
        multiplier, offset = self.scale * inverse, self.offset * inverse
        also = None if self.also is None else self.also * inverse
        if end.out is None:
            return Dequantize(multiplier, offset, also=also)
        steps = elu_thresholds(float(inverse), end.out.zero_point - end.out.qmin) if end.activation == "elu" else None
        if steps is None or len(steps) == 0:  # ELU that stays within half a step of 0 is ReLU
            return Requantize(multiplier, offset, end.activation != "", end.out, also=also)
        return Requantize(multiplier, offset, False, end.out, also=also, thresholds=steps)


@dataclass(frozen=True)
class Lowered:
    """Operations of one layer, and what its sums mean (for a pool that finishes them)."""

    ops: list[Op]
    affine: Affine


def ended(op: Gemm | Spmm, sums: Affine, end: End) -> list[Op]:
    """The operation with its sums finished: by its kernel, or after it where rows get steps of their own."""
    if end.rows is None or end.out is None:
        return [replace(op, epilogue=sums.epilogue(end))]
    if end.activation == "elu":
        raise Unavailable(f"No integer run: ELU before site {end.out.key!r}, whose rows have grids of their own.")
    waiting = f"{op.name}/sums"
    rescale = Rescale(f"{op.name}/rows", waiting, op.target, end.out, end.rows, sums.scale, sums.offset,
                      end.activation == "relu", op.source)  # fmt: skip
    return [replace(op, target=waiting, epilogue=None), rescale]


def quantized_weight(linear: QuantLinear) -> Weight:
    grid = row_grid(linear.weight_q)
    codes = quantize(linear.weight.detach().numpy(), grid)
    return weight_of(np.ascontiguousarray(codes.T), grid)


def bias_of(bias: Any, channels: int) -> Float64:
    if bias is None:
        return np.zeros(channels)
    values: Float64 = bias.detach().numpy().astype(np.float64)
    return values


def product(linear: QuantLinear, source: Grid) -> tuple[Weight, Affine]:
    """The weight of a linear layer whose input has grid `source`, and what its sums mean."""
    if source.columns is not None:
        raise Unavailable(f"No integer run: columns have grids of their own at site {source.key!r}, and a product "
                          "cannot absorb their steps.")  # fmt: skip
    weight = quantized_weight(linear)
    channels = linear.out_channels
    scale = source.scale * weight.steps(channels)
    return weight, Affine(scale, bias_of(linear.bias, channels))
