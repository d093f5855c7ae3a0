"""Sites at which each node has a step and a bit width of its own, both learned (A2Q), and columns with learned steps.

The graph that a node task is trained on is known, so node i owns (s_i, b_i). Nodes that were never seen (graph tasks,
another graph) choose among the learned pairs the one whose range is nearest to what their row reaches (the
nearest-neighbour strategy):

    k(i) = argmin_k (max|x_i| - s_k 2^(b_k-1))^2          Zhu et al., ICLR 2023 (arXiv 2302.00193)

The first steps come from the first batch, 2 mean|x| / sqrt(2^(b-1) - 1) as in LSQ, where the authors draw them at
random. A step is a number of the values' own unit, s = |parameter|, as theirs: with the logarithm of its ratio to the
first one, which learned steps of other methods have, it follows features that grow in training too slowly (40 settings
drawn at random, GCN on Cora at 4 bits, seeds 1000 and 1001: best validation accuracy 80.4 with it and 81.6 without).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from dqviz.quant.functional import EPS, QParams
from dqviz.quant.grid import Grid
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import by_row, row_ends, shaped
from dqviz.quant.sparse import opened
from dqviz.quant.stepped import largest, stepped
from dqviz.quant.topology import nearest

MOST_BITS = 8
"""Codes are bytes at most."""
LEAST_WIDTH = 2
"""b of one bit besides the sign: with fewer every value is 0."""


class SignedRows(Quantizer):
    """A site whose rows have symmetric codes with steps of their own; from 0 where no value was ever negative."""

    own_rows = True
    own_gradient = True
    negative: Tensor

    def __init__(self, qtype: QType) -> None:
        super().__init__(qtype, RunningMinMax())
        self.register_buffer("negative", torch.zeros((), dtype=torch.bool))

    @property
    def signed(self) -> bool:
        return bool(self.negative.item())

    @abstractmethod
    def rows(self, x: Tensor, ptr: Tensor | None) -> tuple[Tensor, Tensor]:
        """(step, b) of each row [rows] of dense values x, or of those stored in CSR rows."""

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        if not self.signed and x.numel() and x.detach().min() < 0:
            self.negative.fill_(True)

    def grid(self, x: Tensor) -> Grid | None:
        return None if self.qtype.is_float else self.grid_of(*self.rows(*opened(x)))

    @torch.no_grad()
    def grid_of(self, step: Tensor, width: Tensor) -> Grid:
        """Of steps and widths [rows]."""
        top, bits = (part.view(-1, 1) for part in (largest(width), width.round() - (0 if self.signed else 1)))
        return Grid(step.view(-1, 1), torch.zeros(1, 1), -top if self.signed else torch.zeros_like(top), top, bits)


class ReachRows(SignedRows):
    """Each row's largest magnitude is its largest code: a row of zeros and one other value (words of a text) is exact.

    Nothing is learned; a row of zeros alone has step 1.
    """

    def rows(self, x: Tensor, ptr: Tensor | None) -> tuple[Tensor, Tensor]:
        low, high = row_ends(x, ptr)
        reach = torch.maximum(-low, high).float()
        width = torch.full_like(reach, self.qtype.bits + (0 if self.signed else 1))
        return reach_steps(reach, largest(width)), width

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        grid = shaped(self.grid_of(*self.rows(x, ptr)), x, ptr)
        return stepped(x, grid.step, torch.log2(grid.high + 1) + 1, self.signed, protected)


class NodewiseQuantizer(SignedRows):
    """Learned (s, b) of nodes.

    `pairs`: how many there are; `own`: row i takes pair i where rows are as many, else every row the nearest pair.
    `local`: which gradient s and b follow. `width` [pairs] is the real b, kept in [2, 8], or [2, 9] without a sign.
    `channels`: values of a row in the last pass (of CSR rows those stored, on average).
    """

    only_clipped = frozenset({"width"})
    seen: Tensor

    def __init__(self, qtype: QType, pairs: int, own: bool, local: bool) -> None:
        super().__init__(qtype)
        self.own, self.local = own, local
        self.channels = 0.0
        self.chosen: Tensor | None = None
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))
        self.step = nn.Parameter(torch.ones(pairs))
        self.width = nn.Parameter(torch.full((pairs,), float(min(max(qtype.bits, LEAST_WIDTH), MOST_BITS))))

    @property
    def most_width(self) -> int:
        return MOST_BITS + (0 if self.signed else 1)

    @property
    def bounded(self) -> Tensor:
        """b of each pair [pairs], within its bounds also right after a step of the optimizer, when it is evaluated."""
        return self.width.clamp(LEAST_WIDTH, self.most_width)

    def steps(self) -> Tensor:
        """s of each pair [pairs] float32, positive."""
        return positive(self.step)

    @torch.no_grad()
    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        super().observe(x, protected, ptr)
        if not self.seen.item():
            self.start(x, ptr)
        self.width.clamp_(LEAST_WIDTH, self.most_width)

    def start(self, x: Tensor, ptr: Tensor | None) -> None:
        """First steps from the first batch that holds anything but zeros; one more for b where there is no sign."""
        mean = row_means(x, ptr)
        known = mean[mean > 0]
        if not known.numel():
            return
        if not self.signed:
            self.width.add_(1)
        first = 2 * mean / largest(self.width[:1]).sqrt()
        typical = 2 * known.median() / largest(self.width[:1]).sqrt()
        if self.owned(mean.numel()):
            self.step.copy_(torch.where(mean > 0, first, typical))
        else:  # pairs for nodes to choose among: what rows reach, evenly
            low, high = row_ends(x, ptr)
            reach = torch.maximum(-low, high)
            share = torch.linspace(0, 1, self.step.numel())
            self.step.copy_(torch.quantile(reach[reach > 0].float(), share) / torch.exp2(self.width - 1))
        self.seen.fill_(True)

    def owned(self, num_rows: int) -> bool:
        """Whether row i is node i of the graph that was trained on."""
        return self.own and num_rows == self.step.numel()

    def rows(self, x: Tensor, ptr: Tensor | None) -> tuple[Tensor, Tensor]:
        step = self.steps()
        if self.owned(x.size(0) if ptr is None else ptr.numel() - 1):
            self.chosen = None
            return step, self.bounded
        low, high = row_ends(x, ptr)
        self.chosen = self.nearest_pairs(torch.maximum(-low, high).float(), step)
        return step.index_select(0, self.chosen), self.bounded.index_select(0, self.chosen)

    @torch.no_grad()
    def nearest_pairs(self, reach: Tensor, step: Tensor) -> Tensor:
        """k of each row [rows] from what it reaches and the steps of all pairs."""
        order = (step * torch.exp2(self.bounded.float().round() - 1)).sort(stable=True)
        return order.indices[nearest(order.values, reach)]

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        step, width = self.rows(x, ptr)
        self.channels = x.numel() / max(step.numel(), 1)
        if ptr is not None:
            counts = ptr.diff()
            step, width = step.repeat_interleave(counts), width.repeat_interleave(counts)
            return stepped(x, step, width, self.signed, protected, self.local, counts.repeat_interleave(counts))
        shape = [-1] + [1] * (x.dim() - 1)
        return stepped(x, step.view(shape), width.view(shape), self.signed, protected, self.local,
                       self.channels)  # fmt: skip

    def total_width(self) -> Tensor:
        """Sum of the real b over all pairs, or over those that were chosen in the last pass."""
        width = self.bounded
        return (width if self.chosen is None else width[torch.bincount(self.chosen).nonzero()]).sum()

    def qparams(self) -> QParams:
        return on_the_whole(self.steps())

    def range(self) -> tuple[float, float]:
        high = reached(self.steps(), self.bounded)
        return -high if self.signed else 0.0, high


class ColumnQuantizer(Quantizer):
    """Symmetric codes of fixed width with a learned step for each output column.

    `axis`: where columns lie, 0 for weights [out_channels, in_channels], 1 for rows [rows, out_channels]. `local`:
    steps follow the error of their column, in which d is its values, else the loss.
    """

    own_gradient = True
    seen: Tensor
    width: Tensor

    def __init__(self, qtype: QType, axis: int, local: bool) -> None:
        super().__init__(qtype, RunningMinMax())
        self.axis, self.local = axis, local
        self.own_rows, self.own_columns = axis == 0, axis == 1
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))
        self.register_buffer("width", torch.full((1, 1), float(max(qtype.bits, LEAST_WIDTH))), persistent=False)
        self.fit(1)

    def fit(self, channels: int) -> None:
        self.step = nn.Parameter(torch.ones((channels, 1) if self.axis == 0 else (1, channels)))

    def steps(self) -> Tensor:
        """s of each column, float32, [out_channels, 1] or [1, out_channels]."""
        return positive(self.step)

    def grid(self, x: Tensor) -> Grid | None:
        if self.qtype.is_float:
            return None
        top = largest(self.width)
        return Grid(self.steps().detach(), torch.zeros(1, 1), -top, top, self.width.clone())

    @torch.no_grad()
    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """First steps from the first batch that holds anything but zeros; a column of zeros takes the typical one."""
        if self.seen.item():
            return
        size = x.detach().abs().float()
        mean = (size.sum(1 - self.axis) / (size > 0).sum(1 - self.axis).clamp(min=1)).view_as(self.step)
        if (mean > 0).any():
            first = torch.where(mean > 0, mean, mean[mean > 0].median())
            self.step.copy_(2 * first / largest(self.width).float().sqrt())
            self.seen.fill_(True)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        return stepped(x, self.steps(), self.width.float(), True, protected, self.local, x.size(1 - self.axis))

    def qparams(self) -> QParams:
        return on_the_whole(self.steps())

    def range(self) -> tuple[float, float]:
        high = reached(self.steps(), self.width)
        return -high, high


def reach_steps(reach: Tensor, top: Tensor) -> Tensor:
    """s [rows] that makes what each row reaches its largest code; 1 of a row of zeros."""
    return torch.where(reach > 0, (reach / top).clamp(min=float(EPS)), 1.0)


def positive(step: Tensor) -> Tensor:
    """s of a learned parameter, float32."""
    return step.float().abs().clamp(min=float(EPS))


def on_the_whole(steps: Tensor) -> QParams:
    """What steps are like on the whole: their root mean square."""
    return QParams(steps.detach().square().mean().sqrt().item(), 0)


def reached(steps: Tensor, width: Tensor) -> float:
    """Highest end of the widest range of steps and widths b."""
    return (steps.detach() * largest(width.float())).max().item()


def row_means(x: Tensor, ptr: Tensor | None) -> Tensor:
    """Mean magnitude of what is not 0 in each row [rows]; 0 of a row of zeros."""
    size = x.detach().abs().float()
    return by_row(size, ptr) / by_row((size > 0).float(), ptr).clamp(min=1)
