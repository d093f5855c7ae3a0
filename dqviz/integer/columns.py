"""Grids of sites whose rows or columns have learned steps and one width (A2Q's weights and x W)."""

from __future__ import annotations

from dataclasses import replace

from dqviz.integer.codes import Float32, Grid, grid_of, require_narrow
from dqviz.quant.nodewise import LEAST_WIDTH, ColumnQuantizer
from dqviz.quant.quantizer import Quantizer


def column_grid(quantizer: Quantizer) -> Grid:
    """Of values [rows, channels]: `columns` where channels have steps of their own, else the one grid of all."""
    grid, steps = learned_grid(quantizer)
    return replace(grid, columns=steps)


def row_grid(quantizer: Quantizer) -> Grid:
    """Of weights [out_channels, in_channels]: `rows` where outputs have steps of their own, else the one grid."""
    grid, steps = learned_grid(quantizer)
    return replace(grid, rows=steps)


def learned_grid(quantizer: Quantizer) -> tuple[Grid, Float32 | None]:
    """The grid of all values, or where steps are learned that of their codes with these steps."""
    if not isinstance(quantizer, ColumnQuantizer):
        return grid_of(quantizer), None
    require_narrow(quantizer)
    steps: Float32 = quantizer.steps().detach().float().flatten().clone().numpy()
    return Grid(1.0, 0, max(quantizer.qtype.bits, LEAST_WIDTH), quantizer.key, symmetric=True), steps
