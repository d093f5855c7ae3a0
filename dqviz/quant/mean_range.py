"""Sites whose range is the mean over nodes of each node's extremes, and those whose nodes differ in bits (SGQuant).

    lo = mean_v min_c x_vc,    hi = mean_v max_c x_vc        Feng et al. 2020 (2007.05100), authors' `calculate_qparams`

A mean is not stretched by the few nodes of large values, as extremes are, and clips them instead. Each training step
moves the range by a share c; the authors take each pass's own, which would make a prediction depend on its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dqviz.quant.functional import Gradient
from dqviz.quant.grid import Grid
from dqviz.quant.observers import MomentumMinMax
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import NodeRows, by_row, on_rows, row_ends, rows_grid
from dqviz.quant.scene import Scene
from dqviz.quant.sparse import opened, same_values

DEGREES = (2, 4, 8, 16)
"""Where the bins of in-degree begin for which bits are chosen: 0 and 1, 2 and 3, 4 to 7, 8 to 15, 16 and more."""
Width = Callable[[Tensor], Tensor]


class MeanRange(Quantizer):
    """One grid for all rows, over the mean of their ranges.

    Each row's range is widened to hold 0 before the mean, as every grid here is; the paper takes the mean first. They
    are the same where rows have a 0 (after ReLU, sparse rows) or both signs.
    """

    observer: MomentumMinMax

    def __init__(self, qtype: QType, gradient: Gradient, momentum: float) -> None:
        super().__init__(qtype, MomentumMinMax(momentum), gradient)

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """Protected rows are not counted."""
        ends = torch.stack(row_ends(x, ptr))
        if protected is not None:
            ends = ends[:, ~protected.rows]
        if not ends.numel():
            return
        lo, hi = ends.mean(1).tolist()
        self.observer.keep(self.observer.merge(self.range(), (lo, hi)) if self.observer.seen.item() else (lo, hi))


class RowBits(NodeRows, MeanRange):
    """Rows whose bit width follows from the in-degree of their node (of an edge's row: of its target).

    `width`: bits [rows] from in-degree [rows]. `own_range`: each row has its own extremes as its range, at every pass.
    """

    def __init__(
        self, qtype: QType, gradient: Gradient, momentum: float, scene: Scene, width: Width, own_range: bool
    ) -> None:
        super().__init__(qtype, gradient, momentum)
        self.scene, self.width, self.own_range = scene, width, own_range

    def degree(self, num_rows: int) -> Tensor:
        """In-degree of the node of each row [num_rows]; 0 where rows are no nodes (a graph's own)."""
        degree = self.scene.in_degree
        if self.node is not None:
            return degree[self.node]
        return degree if degree.numel() == num_rows else torch.zeros(num_rows, dtype=torch.long)

    def grid(self, x: Tensor) -> Grid | None:
        return None if self.qtype.is_float else self.grid_of_rows(*opened(x))

    def grid_of_rows(self, x: Tensor, ptr: Tensor | None, bits: Tensor | None = None) -> Grid:
        """`bits` where they are not those of the rows' nodes."""
        lo, hi = row_ends(x, ptr) if self.own_range else torch.tensor(self.range())
        width = self.width(self.degree(x.size(0) if ptr is None else ptr.numel() - 1)) if bits is None else bits
        return rows_grid(lo, hi, width, self.qtype.signed)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        return on_rows(x, self.grid_of_rows(x, ptr), protected, ptr)


class ChosenBits(RowBits):
    """Bits by bin of in-degree, chosen from the errors that calibration measures here.

    `table` [bins] bits; `errors` [bins, widths] squared error at each of `widths`, `energy` sum of squares, `values`
    [bins] how many there were. Edges, and the data set's own features, keep the bits they begin with and measure
    nothing.
    """

    table: Tensor

    def __init__(
        self, qtype: QType, gradient: Gradient, momentum: float, scene: Scene, widths: Sequence[int], own_range: bool
    ) -> None:
        super().__init__(qtype, gradient, momentum, scene, self.looked_up, own_range)
        bins = len(DEGREES) + 1
        self.widths = tuple(widths)
        self.register_buffer("table", torch.full((bins,), float(qtype.bits)))
        self.errors, self.values = torch.zeros(bins, len(self.widths)), torch.zeros(bins)
        self.energy = 0.0
        self.measures = False

    def looked_up(self, degree: Tensor) -> Tensor:
        return self.table[torch.bucketize(degree, torch.tensor(DEGREES), right=True)]

    def forward(self, x: Tensor, protected: Tensor | None = None, node: Tensor | None = None) -> Tensor:
        own = self.scene.x is not None and same_values(x, self.scene.x)
        self.measures = self.state == "observe" and node is None and not own
        return super().forward(x, protected, node)

    @torch.no_grad()
    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        super().observe(x, protected, ptr)
        if not self.measures:
            return
        rows = x.size(0) if ptr is None else ptr.numel() - 1
        place = torch.bucketize(self.degree(rows), torch.tensor(DEGREES), right=True)
        self.values.index_add_(0, place, by_row(torch.ones_like(x), ptr))
        self.energy += x.square().sum().item()
        for column, width in enumerate(self.widths):
            grid = self.grid_of_rows(x, ptr, torch.tensor(float(width)))
            error = by_row((on_rows(x, grid, protected, ptr) - x).square(), ptr)
            self.errors[:, column].index_add_(0, place, error)
