"""Grids of sites whose rows or columns have learned steps and one width (A2Q's weights and x W)."""

from __future__ import annotations

from torch import Tensor

from dqviz.integer.codes import Grid, grid_of, require_narrow
from dqviz.quant.nodewise import LEAST_WIDTH, ColumnQuantizer
from dqviz.quant.quantizer import Quantizer


def column_grid(quantizer: Quantizer) -> Grid:
    """Of values [rows, channels]: `columns` where channels have steps of their own, else the one grid of all."""
    if not isinstance(quantizer, ColumnQuantizer):
        return grid_of(quantizer)
    require_narrow(quantizer)
    steps = flat(quantizer.steps())
    return Grid(1.0, 0, width_of(quantizer), quantizer.key, columns=steps.numpy(), symmetric=True)


def row_grid(quantizer: Quantizer) -> Grid:
    """Of weights [out_channels, in_channels]: `rows` where outputs have steps of their own, else the one grid."""
    if not isinstance(quantizer, ColumnQuantizer):
        return grid_of(quantizer)
    require_narrow(quantizer)
    steps = flat(quantizer.steps())
    return Grid(1.0, 0, width_of(quantizer), quantizer.key, rows=steps.numpy(), symmetric=True)


def width_of(quantizer: ColumnQuantizer) -> int:
    return max(quantizer.qtype.bits, LEAST_WIDTH)


def flat(steps: Tensor) -> Tensor:
    return steps.detach().float().flatten().clone()
