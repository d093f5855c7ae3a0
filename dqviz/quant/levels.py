"""Sites whose levels are not evenly spaced: a value takes the nearest of a fixed set, stretched to the site's range.

    x^ = alpha sign(x) l(|x| / alpha),    l(t) the level nearest to t in [0, 1], ties to the smaller one
    alpha = max(-lo, hi) of the observed range [lo, hi]

Levels are 0 and positive numbers up to 1, mirrored where the range holds negative values: the sign then takes one of
the b bits, else levels are made of all b. Gradient: straight through inside the range, 0 outside. Which sets there are
stand in `powers.py` (one power of two each) and `additive.py` (sums of them). Products of such values are shifts and
additions in hardware made for it; integer kernels of evenly spaced codes do not run them, and the plan says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dqviz.quant.functional import EPS, QParams
from dqviz.quant.grid import Grid
from dqviz.quant.observers import Observer
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer

Levels = Callable[[int], tuple[int, ...]]
"""Ascending whole numbers from 0 for so many bits without a sign; a level is a number divided by the last one."""
LARGEST_TABLE = 1 << 15


class LevelQuantizer(Quantizer):
    """Nearest level; `levels` makes the set."""

    own_levels = True
    own_gradient = True

    def __init__(self, qtype: QType, observer: Observer, levels: Levels) -> None:
        super().__init__(qtype, observer)
        self.levels = levels

    @property
    def two_sided(self) -> bool:
        """Whether the observed range holds negative values."""
        return self.observer.range()[0] < 0

    @property
    def size_bits(self) -> int:
        """This site's bits, less the sign where there is one; of 1 bit with a sign still 1."""
        return max(self.qtype.bits - (1 if self.two_sided else 0), 1)

    def numbers(self) -> tuple[int, ...]:
        """Of as many bits as there are for the size."""
        return self.levels(self.size_bits)

    def qparams(self) -> QParams:
        """The finest step that holds all levels, alpha being at least float32 eps; 1 where nothing but 0 was seen."""
        lo, hi = self.observer.range()
        alpha = max(-lo, hi)
        step = np.float32(max(alpha, float(EPS))) / np.float32(self.numbers()[-1])
        return QParams(float(step) if alpha > 0 else 1.0, 0)

    def grid(self, x: Tensor) -> Grid | None:
        if self.qtype.is_float:
            return None
        high, low = self.numbers()[-1], -self.numbers()[-1] if self.two_sided else 0
        parts = (self.qparams().scale, 0, low, high, self.qtype.bits)
        return Grid(*(torch.tensor(float(part)) for part in parts))

    def range(self) -> tuple[float, float]:
        alpha = self.qparams().scale * self.numbers()[-1]
        return -alpha if self.two_sided else 0.0, alpha

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        out: Tensor = _Nearest.apply(x, self.qparams().scale, self.numbers(), self.two_sided, protected)  # type: ignore[no-untyped-call]
        return out


def nearest(x: Tensor, numbers: tuple[int, ...]) -> Tensor:
    """The one of ascending `numbers` nearest to each of x, which are not negative; ties to the smaller one.

    Borders are whole halves, so that the half that x lies in tells its level: a look into a table, where that is small,
    takes a third of the time of a search.
    """
    if numbers[-1] > LARGEST_TABLE:
        found = torch.bucketize(x, borders(numbers).to(x.dtype), out_int32=True)
        return torch.tensor(numbers, dtype=x.dtype).index_select(0, found.reshape(-1)).view_as(x)
    half = (x * 2).ceil_().clamp_(max=2 * numbers[-1]).nan_to_num_(0.0).int()
    return by_half(numbers).to(x.dtype).index_select(0, half.reshape(-1)).view_as(x)


def borders(numbers: tuple[int, ...]) -> Tensor:
    """Between neighbours [levels - 1] float64."""
    table = torch.tensor(numbers, dtype=torch.float64)
    return (table[1:] + table[:-1]) / 2


@lru_cache(maxsize=64)
def by_half(numbers: tuple[int, ...]) -> Tensor:
    """The level of ((k - 1) / 2, k / 2] at k [2 largest + 1] float32."""
    halves = torch.arange(2 * numbers[-1] + 1, dtype=torch.float64) / 2
    return torch.tensor(numbers, dtype=torch.float32)[torch.bucketize(halves, borders(numbers))]


class _Nearest(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: float, numbers: tuple[int, ...], two_sided: bool, protected: Protected | None
    ) -> Tensor:
        steps = x * QParams(step, 0).inverse
        if x.dtype == torch.float64:  # rounded in float32 all the same, as `passes.fake` does
            steps = steps.float().double()
        size = steps.abs() if two_sided else steps.clamp(min=0)
        out = nearest(size, numbers).mul_(step)
        out = torch.where(steps.isnan(), steps, out.copysign_(steps) if two_sided else out)
        inside = size <= numbers[-1] * (1 + 4 * EPS)  # the value that alpha was taken from lies inside
        inside = inside if two_sided else inside & (steps >= 0)
        if protected is not None:
            mask = protected.mask(x)
            out, inside = torch.where(mask, x, out), inside | mask
        ctx.save_for_backward(inside)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] * ctx.saved_tensors[0], None, None, None, None
