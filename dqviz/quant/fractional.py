"""Sites that learn a real number of bits, by the gradient of a rounding error that halves with each bit (HGQ).

    s = 2^(i + sign - b^),    x^ = s clip(rint(x / s), qmin, qmax),    b^ = rint(b)
    i = floor(log2 max(|lo|, |hi|)) + 1                                whole bits, of the observed range [lo, hi]

    dx^/dx = 1 inside, 0 where clipped
    dx^/db = ln 2 (x - x^) inside, 0 where clipped                     because d(x - x^)/db = -ln 2 (x - x^)

Steps are powers of two and the zero point is 0, as on a fixed-point device, and every integer kernel runs them. The
parameter is b in place of HGQ's fractional bits f = b - i - sign: the two differ by what the range gives. b is kept
between 2, of which kernels take codes, and the run's bits. Source: Sun et al. 2024 (arXiv 2405.00645), section III,
with one b a tensor where HGQ may have one a weight.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dqviz.quant.functional import EPS, QParams, rounded
from dqviz.quant.observers import Observer
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer

LEAST = 2
LN2 = math.log(2)


class FractionalQuantizer(Quantizer):
    """A site of learned `bits` (0-dimensional), at most `most`. `values`: how many the last pass of the search had.

    `qtype`, `qparams` and all that follows from them are those of the rounded bits.
    """

    own_gradient = True

    def __init__(self, most: QType, observer: Observer) -> None:
        self.most = most
        super().__init__(most, observer)
        self.bits = nn.Parameter(torch.tensor(float(most.bits)))
        self.values = 0

    @property
    def qtype(self) -> QType:
        """Of the rounded bits; before they are there, of the most."""
        bits = self.bits.item() if "bits" in self._parameters else math.nan
        width = round(bits) if math.isfinite(bits) else self.most.bits  # not finite: the loss tells it
        return QType(min(max(width, LEAST), self.most.bits), self.signed)

    @qtype.setter
    def qtype(self, qtype: QType) -> None:
        """Set by the base class only: to the most."""

    @property
    def signed(self) -> bool:
        """Without a zero point an unsigned grid holds no negative value: one that was observed needs a sign."""
        return self.most.signed or self.observer.range()[0] < 0

    def qparams(self) -> QParams:
        """A power of two, at least float32 eps; NaN where the range is not finite, 1 where nothing but 0 was seen."""
        lo, hi = self.range()
        reach = max(-lo, hi)
        if not math.isfinite(reach):
            return QParams(math.nan, 0)
        if reach <= 0:
            return QParams(1.0, 0)
        qtype = self.qtype
        fraction = qtype.bits - int(qtype.signed) - (math.floor(math.log2(reach)) + 1)
        return QParams(max(math.ldexp(1.0, -fraction), float(EPS)), 0)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        if self.searches:
            self.values = x.numel()
            with torch.no_grad():  # the optimizer may have left the borders
                self.bits.clamp_(LEAST, self.most.bits)
        params, qtype = self.qparams(), self.qtype
        if not torch.is_grad_enabled():
            return rounded(x, params, qtype, protected)
        bits = self.bits if self.searches else None
        out: Tensor = _Fractional.apply(x, bits, params, qtype, protected)  # type: ignore[no-untyped-call]
        return out


class _Fractional(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _bits: Tensor | None, params: QParams, qtype: QType, protected: Protected | None
    ) -> Tensor:
        out = rounded(x, params, qtype, protected)
        steps = torch.round(x * params.inverse)
        inside = (steps >= qtype.qmin) & (steps <= qtype.qmax)
        if protected is not None:  # an untouched value has no error
            inside |= protected.mask(x)
        ctx.save_for_backward(inside, x - out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inside, error = ctx.saved_tensors
        to_x = grads[0] * inside
        to_bits = LN2 * (to_x * error).sum() if ctx.needs_input_grad[1] else None
        return to_x, to_bits, None, None, None
