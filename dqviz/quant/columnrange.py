"""Sites whose columns have ranges of their own, each observed as one range is for a whole tensor elsewhere.

    s_c = (hi_c - lo_c) / (2^b - 1),    x^_ic = s_c clip(rint(x_ic / s_c), qmin - z_c, qmax - z_c)

Rules `abs`, `mom` and `per` as in `observers.py`, column by column; of CSR rows, whose columns hold few values, `per`
takes the extremes. Gradient: straight through inside a column's range, 0 outside. Channels that differ in size then
share no step; a node whose values are all large still stretches every range, which `rowrange.py` and Degree-Quant are
for. A product sums over columns, so that different steps of its input cannot be taken out of the sum: there is no
integer run. Source: Krishnamoorthi 2018 (arXiv 1806.08342), there for weights; activations by channel: Bondarenko et
al., EMNLP 2021 (arXiv 2109.12948).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dqviz.quant.copied import hidden
from dqviz.quant.grid import Grid
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.passes import Protected, shown
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import on_grid, rows_grid


class ColumnRange(Quantizer):
    """A grid a column. `lo`, `hi` [channels]; `momentum` 0: running extremes. `clipped`: share beyond each end."""

    own_columns = True
    own_gradient = True
    lo: Tensor
    hi: Tensor
    seen: Tensor

    def __init__(self, qtype: QType, momentum: float = 0.0, clipped: float = 0.0) -> None:
        super().__init__(qtype, RunningMinMax())
        self.momentum, self.clipped = momentum, clipped
        self.columns: Tensor | None = None
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))
        self.fit(1)

    def fit(self, channels: int) -> None:
        self.register_buffer("lo", torch.zeros(channels))
        self.register_buffer("hi", torch.zeros(channels))

    def forward(self, x: Tensor, protected: Tensor | None = None, node: Tensor | None = None) -> Tensor:
        self.columns = x.col_indices() if x.layout == torch.sparse_csr else None
        return super().forward(x, protected, node)

    def grid(self, x: Tensor) -> Grid | None:
        """Parts of one element or [1, channels]."""
        if self.qtype.is_float:
            return None
        grid = rows_grid(self.lo, self.hi, torch.tensor(float(self.qtype.bits)), self.qtype.signed)
        return Grid(*(part.view(1, -1) for part in (grid.step, grid.zero, grid.low, grid.high, grid.bits)))

    def range(self) -> tuple[float, float]:
        return self.lo.min().item(), self.hi.max().item()

    @torch.no_grad()
    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        if not x.numel():
            return
        copies = self.copies_of(ptr)
        values = shown(x, protected if copies is None else hidden(protected, copies)).float()
        if copies is not None and self.clipped and self.columns is None:
            values = values.repeat_interleave(copies.rows, 0)
            if not values.numel():  # a batch without edges sends nothing
                return
        if self.columns is None:
            lo, hi = column_ends(values.reshape(values.size(0), -1), self.clipped)
        else:
            none = torch.zeros_like(self.lo)
            lo, hi = (none.scatter_reduce(0, self.columns, values, end) for end in ("amin", "amax"))
        self.lo.copy_(self.merged(self.lo, lo, torch.minimum(self.lo, lo)))
        self.hi.copy_(self.merged(self.hi, hi, torch.maximum(self.hi, hi)))
        self.seen.fill_(True)

    def merged(self, old: Tensor, new: Tensor, widest: Tensor) -> Tensor:
        """An end of the ranges after a step [channels]."""
        if not self.seen.item():
            return new
        return old + self.momentum * (new - old) if self.momentum else widest

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        grid = self.grid(x)
        assert grid is not None
        flat = x if self.columns is not None else x.reshape(x.size(0), -1)
        if self.columns is not None:
            grid = grid.of_columns(self.columns)
        out = on_grid(flat.clamp(grid.lower, grid.upper), grid, None).view_as(x)
        return out if protected is None else torch.where(protected.mask(x), x, out)


def column_ends(x: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Ends [channels] of x [rows, channels], widened to hold 0: the k-th value of what is not 0, k = int(share n).

    Zeros need not be taken out of the columns: where fewer than k values lie below 0, that end is 0 either way.
    """
    if int(share * x.size(0)) <= 1:
        return x.amin(0).clamp(max=0), x.amax(0).clamp(min=0)
    rank = (share * (x != 0).sum(0).double()).long().clamp(min=1)[:, None]  # as the observer's, in double
    columns, most = x.t().contiguous(), int(rank.max())  # a tenth of the time of sorting
    low, high = (columns.topk(most, 1, largest=upper).values.gather(1, rank - 1)[:, 0] for upper in (False, True))
    return low.clamp(max=0), high.clamp(min=0)
