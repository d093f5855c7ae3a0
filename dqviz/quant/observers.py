"""Observers: what range [lo, hi] a quantizer takes from the values it sees (Degree-Quant, appendix; METHODS 1.2).

`abs`  running minimum and maximum.
`mom`  exponential: lo += c (min - lo), c = 0.01 (Jacob et al.).
`per`  the k-th smallest and largest, k = int(p n), then running minimum and maximum.

Zeros are left out of the percentile's count n: the range always holds 0 and 0 is always represented exactly, so a zero
says nothing about where to clip. On dense values this is the published rule; on bag-of-words rows (Cora: 98.7 % zeros)
the published rule would clip every value that is not zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOMENTUM = 0.01
PERCENTILE = {8: 0.001, 4: 0.01}
"""Share clipped at each end by bits: the authors' values for INT8 and INT4 (`percentile_of` for other widths)."""


def percentile_of(bits: int) -> float:
    """p of the percentile observer: 0.001 from 8 bits up, 0.01 below."""
    return PERCENTILE[8] if bits >= 8 else PERCENTILE[4]


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

    def extremes(self, x: Tensor) -> tuple[float, float]:
        """Ends of this step's range, as this observer understands them. x is flat and not empty."""
        low, high = torch.aminmax(x)
        return low.item(), high.item()

    def merge(self, old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
        """The range after a step; by default the running extremes."""
        return min(old[0], new[0]), max(old[1], new[1])

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Takes the values x (any shape) of one step into the range."""
        if x.numel() == 0:
            return
        flat = x.detach().reshape(-1)
        self.keep(self.merged(self.range(), flat) if self.seen.item() else self.extremes(flat))

    def merged(self, old: tuple[float, float], x: Tensor) -> tuple[float, float]:
        """The range after a step with flat values x."""
        return self.merge(old, self.extremes(x))

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

    def extremes(self, x: Tensor) -> tuple[float, float]:
        low, high = super().extremes(x)
        k = self.rank(x)
        if k == 1:
            return low, high
        return (lower_end(x, k) if low < 0 else 0.0), (upper_end(x, k) if high > 0 else 0.0)

    def rank(self, x: Tensor) -> int:
        """k: how many values are clipped at each end, plus one."""
        return max(1, int(self.share * int(torch.count_nonzero(x))))

    def merged(self, old: tuple[float, float], x: Tensor) -> tuple[float, float]:
        """The same running extremes, but a k-th value is looked for only where it can widen the range.

        It does so where k values lie beyond the old end; in most steps none does, and one pass over x is enough.
        """
        (lo, hi), (low, high) = old, super().extremes(x)
        if low >= lo and high <= hi:
            return old
        k = self.rank(x)
        if low < lo and int(torch.count_nonzero(x < lo)) >= k:
            lo = min(lo, lower_end(x, k) if k > 1 else low)
        if high > hi and int(torch.count_nonzero(x > hi)) >= k:
            hi = max(hi, upper_end(x, k) if k > 1 else high)
        return lo, hi


SAMPLE = 1024


def lower_end(x: Tensor, k: int) -> float:
    """min(0, k-th smallest value of flat x), exactly, without sorting x.

    A strided sample gives a threshold above which the answer is unlikely to lie; only the values below it are
    searched. Should fewer than k lie below, all negative values are.
    """
    thin, rank = thinned(x, k)
    tail = x[x < min(thin.kthvalue(rank).values.item(), 0.0)]
    if tail.numel() < k:
        tail = x[x < 0]
    return tail.kthvalue(k).values.item() if tail.numel() >= k else 0.0


def upper_end(x: Tensor, k: int) -> float:
    """max(0, k-th largest value of flat x); the mirror image of `lower_end`."""
    thin, rank = thinned(x, k)
    tail = x[x > max(thin.kthvalue(thin.numel() + 1 - rank).values.item(), 0.0)]
    if tail.numel() < k:
        tail = x[x > 0]
    return tail.kthvalue(tail.numel() + 1 - k).values.item() if tail.numel() >= k else 0.0


def thinned(x: Tensor, k: int) -> tuple[Tensor, int]:
    """Every n-th value of x, and a rank in it that lies safely beyond rank k of x."""
    step = max(1, x.numel() // SAMPLE)
    thin = x[::step]
    return thin, min(thin.numel(), 2 * (k // step) + 8)


def make_observer(name: str, bits: int, momentum: float = MOMENTUM, percentile: float = 0.0) -> Observer:
    """Observer by its published name: abs, mom or per (`percentile` 0: the published share for `bits`)."""
    if name == "mom":
        return MomentumMinMax(momentum)
    if name == "per":
        return Percentile(percentile or percentile_of(bits))
    return RunningMinMax()
