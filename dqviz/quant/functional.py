"""The affine quantizer as pure functions (Jacob et al. 2018, arXiv 1712.05877; Degree-Quant 2008.05000 section 3).

    q = clip(rint(x * (1 / s)) + z, qmin, qmax),    x^ = (q - z) * s

Two conventions are fixed here and followed by the integer engine, because they decide ties: the reciprocal of the step
is rounded to float32 once and multiplied (x / s differs on some ties), and rounding (half to even) comes before the
zero point is added.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dqviz.quant.passes import Protected, fake, inside
from dqviz.quant.qtype import QType

Gradient = Literal["ste", "gc"]
EPS = np.finfo(np.float32).eps
FLOAT32_MAX = float(np.finfo(np.float32).max)


class QParams(NamedTuple):
    """How codes are read: real = (code - zero_point) * scale. `scale` is a float32 value.

    Python numbers, not tensors: a quantizer is a dozen operations on a small graph, and each 0-dimensional tensor
    operation costs as much as a pass over its values.
    """

    scale: float
    zero_point: int

    @property
    def inverse(self) -> float:
        """1 / scale, rounded to float32 once."""
        return float(np.float32(1) / np.float32(self.scale))


@lru_cache(maxsize=4096)
def scale_zero_point(lo: float, hi: float, qtype: QType) -> QParams:
    """Step and zero point of the range [lo, hi], widened to hold 0; arithmetic in float32 (METHODS 1.2).

    The step is at least float32 eps; an empty range (lo = hi = 0) gives step 1, zero point 0. A range that is not
    finite (or wider than float32) gives step NaN: every value becomes NaN, and the loss tells that training diverged.
    """
    low, high = np.float32(min(lo, 0.0)), np.float32(max(hi, 0.0))
    if low == high:
        return QParams(1.0, 0)
    if not float(high) - float(low) <= FLOAT32_MAX:
        return QParams(math.nan, 0)
    scale = max((high - low) / np.float32(qtype.qmax - qtype.qmin), EPS)
    zero_point = int(np.clip(qtype.qmin - np.rint(low / scale), qtype.qmin, qtype.qmax))
    return QParams(float(scale), zero_point)


class _FakeQuantize(torch.autograd.Function):
    """Forward: quantize, dequantize. Backward: `ste` passes the gradient, `gc` zeroes it at the two extreme codes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, params: QParams, qtype: QType, gradient: Gradient, protected: Protected | None,
        rectify: bool,
    ) -> Tensor:  # fmt: skip
        out = rounded(x, params, qtype, protected, rectify)
        if gradient == "gc" or rectify:
            low, high = ends(params, qtype) if gradient == "gc" else (-math.inf, math.inf)
            ctx.save_for_backward(out)
            ctx.protected, ctx.ends = protected, (max(low, 0.0) if rectify else low, high)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        if ctx.saved_tensors:
            grad = inside(grad, ctx.saved_tensors[0], ctx.protected, *ctx.ends)
        return grad, None, None, None, None, None


def ends(params: QParams, qtype: QType) -> tuple[float, float]:
    """Real values of the two extreme codes."""
    return (qtype.qmin - params.zero_point) * params.scale, (qtype.qmax - params.zero_point) * params.scale


def rounded(x: Tensor, params: QParams, qtype: QType, protected: Protected | None, rectify: bool = False) -> Tensor:
    """x^ without a gradient."""
    low, high = qtype.qmin - params.zero_point, qtype.qmax - params.zero_point
    if rectify:
        low = max(low, 0)
    return fake(x, protected, params.inverse, params.scale, low, high)


def fake_quantize(
    x: Tensor, params: QParams, qtype: QType, gradient: Gradient = "ste", protected: Protected | None = None,
    rectify: bool = False,
) -> Tensor:  # fmt: skip
    """x^ in float32, same shape as x, with the straight-through (`ste`) or clipped (`gc`) gradient of METHODS 1.2.

    Protected rows stay as they are, and so does their gradient. `rectify` (nothing protected): max(x^, 0) in the same
    pass, since 0 is a code: those below are clipped to it.
    """
    if not (x.requires_grad and torch.is_grad_enabled()):
        return rounded(x, params, qtype, protected, rectify)
    out: Tensor = _FakeQuantize.apply(x, params, qtype, gradient, protected, rectify)  # type: ignore[no-untyped-call]
    return out


def straight(x: Tensor, out: Tensor) -> Tensor:
    """`out` with the gradient of x: the straight-through rule for any quantizer."""
    found: Tensor = _Straight.apply(x, out)  # type: ignore[no-untyped-call]
    return found


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, _x: Tensor, out: Tensor) -> Tensor:
        return out.detach().clone()

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None
