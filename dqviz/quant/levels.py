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
from typing import Any

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


class LevelQuantizer(Quantizer):
    """Nearest level; `levels` makes the set."""

    own_levels = True

    def __init__(self, qtype: QType, observer: Observer, levels: Levels) -> None:
        super().__init__(qtype, observer)
        self.levels = levels

    @property
    def two_sided(self) -> bool:
        """Whether the observed range holds negative values."""
        return self.observer.range()[0] < 0

    def numbers(self) -> tuple[int, ...]:
        """Of this site's bits, less the sign where there is one; of 1 bit with a sign still 0 and 1."""
        return self.levels(max(self.qtype.bits - (1 if self.two_sided else 0), 1))

    def qparams(self) -> QParams:
        """The finest step that holds all levels, at least float32 eps; 1 where nothing but 0 was seen."""
        lo, hi = self.observer.range()
        alpha = max(-lo, hi)
        return QParams(max(alpha / self.numbers()[-1], float(EPS)) if alpha > 0 else 1.0, 0)

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
    """The one of ascending `numbers` nearest to each of x, not negative; ties to the smaller one."""
    table = torch.tensor(numbers, dtype=torch.float64)
    return table.to(x.dtype)[torch.bucketize(x, ((table[1:] + table[:-1]) / 2).to(x.dtype))]


class _Nearest(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: float, numbers: tuple[int, ...], two_sided: bool, protected: Protected | None
    ) -> Tensor:
        steps = x * QParams(step, 0).inverse
        if x.dtype == torch.float64:  # rounded in float32 all the same, as `passes.fake` does
            steps = steps.float().double()
        size = steps.abs() if two_sided else steps.clamp(min=0)
        inside = steps.abs() <= numbers[-1] * (1 + 4 * EPS)  # the value that alpha was taken from lies inside
        out = nearest(size, numbers) * step
        out = out * steps.sign() if two_sided else out
        inside = inside if two_sided else inside & (steps >= 0)
        if protected is not None:
            mask = protected.mask(x)
            out, inside = torch.where(mask, x, out), inside | mask
        ctx.save_for_backward(inside)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] * ctx.saved_tensors[0], None, None, None, None
