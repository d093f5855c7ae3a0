"""Sites whose rows have ranges of their own, those of the row's values in this very pass: nothing is remembered.

    s_i = (max_c x_ic - min_c x_ic) / (2^b - 1),    x^_ic = s_i clip(rint(x_ic / s_i), qmin - z_i, qmax - z_i)

each range widened to hold 0. A row of a feature matrix is a node; a row of a weight [out_channels, in_channels] is an
output column of the product, so that x W has one scale for each row of x times one for each column of W
("vector-wise"). A hub then stretches no other node's range, and nothing lies outside of a range: the gradient passes
straight through. Steps of single rows are not folded into anything, so there is no integer run (`topgq` folds steps of
nodes). Source: Dettmers et al., NeurIPS 2022 (arXiv 2208.07339), there
symmetric; weights by output channel: Krishnamoorthi 2018 (arXiv 1806.08342).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dqviz.quant.grid import Grid
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import on_rows, row_ends, rows_grid
from dqviz.quant.sparse import opened


class RowRange(Quantizer):
    """A grid of each row, from the row itself; `observer` only keeps what all rows reach, to be shown."""

    own_rows = True

    def __init__(self, qtype: QType) -> None:
        super().__init__(qtype, RunningMinMax())

    def grid(self, x: Tensor) -> Grid | None:
        return None if self.qtype.is_float else self.grid_of(*opened(x))

    def grid_of(self, x: Tensor, ptr: Tensor | None) -> Grid:
        """Of dense rows x, or of the values stored in CSR rows; parts of one element or [rows, 1]."""
        return rows_grid(*row_ends(x, ptr), torch.tensor(float(self.qtype.bits)), self.qtype.signed)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        return on_rows(x, self.grid_of(x, ptr), protected, ptr)
