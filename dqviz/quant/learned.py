"""Learned step sizes: the step (and the zero point) of a site is trained with the weights (LSQ, LSQ+).

    q = clip(rint(x / s) + z, qmin, qmax),    x^ = (q - z) s,    low = qmin - z, high = qmax - z

    dx^/ds = rint(x/s) - x/s inside (low < x/s < high), low or high outside     Esser et al. 2020 (1902.08153), eq. 3
    dx^/dx = 1 inside, 0 outside                                                ibid., eq. 5
    dx^/dz = 0 inside, -s outside                   Bhalgat et al. 2020 (LSQ+, 2004.09576), eq. 6, its offset being -s z

Both gradients of a site are scaled by g = 1 / sqrt(n high), n the number of values that are quantized. The first
step is 2 mean|x| / sqrt(high) over what the first batch holds besides zeros: a zero is represented exactly, so it says
nothing about the step. Weights are symmetric (z = 0) as in LSQ; elsewhere z starts where the first batch's range
puts it and is learned, because LSQ+ found that one-sided values (after ELU, sums of them) need it. z is rounded and
kept in [qmin, qmax], so that 0 stays a code and the integer engine reads the site as any other.

The step is held as the logarithm of its ratio to the first one: Adam moves a parameter by about its learning rate
whatever the gradient's size, and steps differ a thousandfold between sites (Jain et al. 2020, 1903.08066, section 3.3).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqviz.quant.functional import EPS, FLOAT32_MAX, QParams, rounded, scale_zero_point
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.passes import Protected, learned, shown
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer

MAX_LOG = 700.0  # exp of more overflows float64


class LearnedQuantizer(Quantizer):
    """A site whose step is a parameter; its observer keeps what the first batch showed (`first_step`, range).

    `symmetric`: the zero point is 0 and not learned.
    """

    only_clipped = frozenset({"shift"})
    own_gradient = True
    first_step: Tensor
    log_step: nn.Parameter

    def __init__(self, qtype: QType, symmetric: bool = False) -> None:
        super().__init__(qtype, RunningMinMax())
        self.register_buffer("first_step", torch.ones(()))
        self.log_step = nn.Parameter(torch.zeros(()))
        self.shift: nn.Parameter | None = None if symmetric else nn.Parameter(torch.zeros(()))

    def first_zero(self) -> int:
        """Zero point of the first batch's range; 0 for symmetric codes."""
        return 0 if self.shift is None else scale_zero_point(*self.observer.range(), self.qtype).zero_point

    def qparams(self) -> QParams:
        """Step as float32, at least its eps; NaN where it grew past float32, so that the loss tells."""
        ratio = self.log_step.item()
        scale = self.first_step.item() * (math.exp(ratio) if ratio < MAX_LOG else math.inf)
        if not scale <= FLOAT32_MAX:
            return QParams(math.nan, self.zero_point())
        return QParams(float(max(np.float32(scale), EPS)), self.zero_point())

    def zero_point(self) -> int:
        """The learned zero point: `shift` counts in whole ranges, so that one learning rate suits all bits."""
        if self.shift is None:
            return 0
        moved = self.first_zero() + self.qtype.levels * self.shift.item()
        if not math.isfinite(moved):
            return 0
        return min(max(round(moved), self.qtype.qmin), self.qtype.qmax)

    def range(self) -> tuple[float, float]:
        """Real values of the two extreme codes."""
        params = self.qparams()
        low, high = self.qtype.qmin - params.zero_point, self.qtype.qmax - params.zero_point
        return low * params.scale, high * params.scale

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """The first batch that holds anything but zeros sets the first step and zero point."""
        if self.observer.seen.item():
            return
        values = shown(x, protected)
        used = values[values != 0]
        if used.numel() == 0:
            return
        self.observer.observe(used)
        self.first_step.fill_(first_step(used, self.first_zero(), self.qtype))

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        params = self.qparams()
        if not torch.is_grad_enabled():
            return rounded(x, params, self.qtype, protected)
        out: Tensor = _LearnedQuantize.apply(  # type: ignore[no-untyped-call]
            x, self.log_step, self.shift, params, self.qtype, protected
        )
        return out


def highest(zero_point: int, qtype: QType) -> int:
    """`high` of the formulas: the most levels on one side of zero (LSQ's Q_P where all the range is on that side)."""
    return max(qtype.qmax - zero_point, zero_point - qtype.qmin - 1)


def first_step(x: Tensor, zero_point: int, qtype: QType) -> float:
    """2 mean|x| / sqrt(high) of flat x."""
    return 2 * x.abs().mean().item() / math.sqrt(highest(zero_point, qtype))


class _LearnedQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _log_step: Tensor, shift: Tensor | None, params: QParams, qtype: QType,
        protected: Protected | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, shift)
        ctx.params, ctx.qtype, ctx.protected = params, qtype, protected
        return rounded(x, params, qtype, protected)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, shift = ctx.saved_tensors
        params, qtype = ctx.params, ctx.qtype
        grad = grads[0].contiguous()
        low, high = qtype.qmin - params.zero_point, qtype.qmax - params.zero_point
        to_x, step_sum, outside = learned(grad, x, ctx.protected, params.inverse, low, high)
        counted = x.numel() - (0 if ctx.protected is None else ctx.protected.count(x))
        size = params.scale / math.sqrt(max(counted, 1) * highest(params.zero_point, qtype))
        to_step = grad.new_tensor(step_sum * size)  # d/d(log s) = s d/ds
        if shift is None:
            return to_x, to_step, None, None, None, None
        to_shift = grad.new_tensor(-outside * size * qtype.levels)
        return to_x, to_step, held(to_shift, params.zero_point, qtype), None, None, None


def held(gradient: Tensor, zero_point: int, qtype: QType) -> Tensor:
    """The zero point's gradient without the part that would push it past the ends of the codes."""
    if zero_point == qtype.qmin:
        return gradient.clamp(max=0)
    return gradient.clamp(min=0) if zero_point == qtype.qmax else gradient
