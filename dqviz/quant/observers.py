"""Observers: what range [lo, hi] a quantizer takes from the values it sees (Degree-Quant, appendix; METHODS 1.2).

`abs`  running minimum and maximum.
`mom`  exponential: lo += c (min - lo), c = 0.01 (Jacob et al.).
`per`  the k-th smallest and largest, k = int(p n), then running minimum and maximum.

Zeros are left out of the percentile's count n: the range always holds 0 and 0 is always represented exactly, so a zero
says nothing about where to clip. On dense values this is the published rule (whose upper end lies one value further
in: here k counts alike from both ends); on bag-of-words rows (Cora: 98.7 % zeros) the published rule would clip every
value that is not zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dqviz.quant import copied
from dqviz.quant.passes import Copies, Protected, Seen, beyond, look

MOMENTUM = 0.01
PERCENTILE = {8: 0.001, 4: 0.01}
"""Share clipped at each end by bits: the authors' values for INT8 and INT4 (`percentile_of` for other widths)."""


def percentile_of(bits: int) -> float:
    """p of the percentile observer: 0.001 from 8 bits up, 0.01 below."""
    return PERCENTILE[8] if bits >= 8 else PERCENTILE[4]


Range = tuple[float, float]


class Observer(nn.Module):
    """Keeps the range as buffers `lo`, `hi` (0-dimensional float32); `observe` takes the values of one step."""

    lo: Tensor
    hi: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lo", torch.zeros(()))
        self.register_buffer("hi", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    def merge(self, old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
        """The range after a step; by default the running extremes."""
        return min(old[0], new[0]), max(old[1], new[1])

    @torch.no_grad()
    def observe(self, x: Tensor, protected: Protected | None = None, copies: Copies | None = None) -> None:
        """Takes the values x (any shape) of one step into the range; protected ones count as 0.

        `copies`: how many values each of x's stands for; without it one each.
        """
        if x.numel():
            old = self.range() if self.seen.item() else None
            new = self.merged(old, x, protected, copies)
            if new != old:
                self.keep(new)

    def merged(self, old: Range | None, x: Tensor, protected: Protected | None, copies: Copies | None = None) -> Range:
        """The range after a step; `old` is None in the first."""
        seen = looked(x, protected, copies, 0.0, 0.0)
        new = seen.low, seen.high
        return new if old is None else self.merge(old, new)

    def keep(self, ends: tuple[float, float]) -> None:
        self.lo.fill_(ends[0])
        self.hi.fill_(ends[1])
        self.seen.fill_(True)

    def range(self) -> tuple[float, float]:
        return self.lo.item(), self.hi.item()


class RunningMinMax(Observer):
    """`abs`: running minimum and maximum."""


class MomentumMinMax(Observer):
    """`mom`: the range follows the extremes of each step with momentum c."""

    def __init__(self, momentum: float = MOMENTUM) -> None:
        super().__init__()
        self.momentum = momentum

    def merge(self, old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
        c = self.momentum
        return old[0] + c * (new[0] - old[0]), old[1] + c * (new[1] - old[1])


class Percentile(Observer):
    """`per`: the k-th smallest and largest non-zero value of each step, then running minimum and maximum."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def rank(self, nonzero: int) -> int:
        """k: how many values are clipped at each end, plus one."""
        return max(1, int(self.share * nonzero))

    def merged(self, old: Range | None, x: Tensor, protected: Protected | None, copies: Copies | None = None) -> Range:
        """A k-th value can only widen the range where k values lie beyond the old end: only those are searched."""
        lo, hi = old or (0.0, 0.0)
        seen = looked(x, protected, copies, lo, hi)
        k = self.rank(seen.nonzero)

        def end(extreme: float, old: float, count: int, upper: bool) -> float:
            if k == 1:
                return extreme
            if copies is not None:
                return copied.beyond(x, protected, copies, old, k, upper)
            return beyond(x, protected, old, k, count, upper)

        if seen.low < lo and seen.below >= k:
            lo = end(seen.low, lo, seen.below, upper=False)
        if seen.high > hi and seen.above >= k:
            hi = end(seen.high, hi, seen.above, upper=True)
        return lo, hi


def looked(x: Tensor, protected: Protected | None, copies: Copies | None, lo: float, hi: float) -> Seen:
    return look(x, protected, lo, hi) if copies is None else copied.look(x, protected, copies, lo, hi)


def make_observer(name: str, bits: int, momentum: float = MOMENTUM, percentile: float = 0.0) -> Observer:
    """Observer by its published name: abs, mom or per (`percentile` 0: the published share for `bits`)."""
    if name == "mom":
        return MomentumMinMax(momentum)
    if name == "per":
        return Percentile(percentile or percentile_of(bits))
    return RunningMinMax()
