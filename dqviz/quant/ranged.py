"""Learned range: a site's range is [a min, a max] with a learned (QLR); truncated to two bits of eight (BT, BT*).

    s = a (max - min) / (2^b - 1),   z = qmin - rint(min a / s),   x^ = (clip(rint(x / s) + z) - z) s

    dx^/da = min where x lies below the range, max above it,
             (rint(x / s) - x / s) s / a inside (the rounding's residual is carried along: d(r s)/da = r s / a)
    dx^/dx = 1 inside, 0 outside

min and max are the observed ones. a starts where a grid search finds the least mean |x - x^| over the first batch and
is held as the logarithm of its ratio to that: Adam then changes it by about its learning rate, relatively, in a step.

Bitwise truncation, at 2 bits: values are quantized to 8 bits and keep the upper two, which are written twice over the
byte; BT* first adds the rounded skewness of the values, so that the crowded end of the range gets the levels:

    q8 = clip(rint(x / s8) + z8 + rint(skew), 0, 255),   x^ = (85 floor(q8 / 64) - z8) s8

Source: Wang et al., CIKM 2023 (arXiv 2308.14949), and the authors' code, whose backward pass reads the dequantized
value in place of the input, so that a hardly learns; here it follows the formula.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dqviz.quant.functional import QParams, rounded, scale_zero_point
from dqviz.quant.grid import Grid
from dqviz.quant.observers import Observer
from dqviz.quant.passes import Protected, learned, shown
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer

Truncation = Literal["none", "bt", "bt*"]
BYTE = QType(8, signed=False)
KEPT, SPREAD = 64, 85
"""A byte's upper two bits are floor(q / 64); written four times they are 85 of them."""
FACTORS = torch.linspace(0.05, 1.2, 47)
"""Values of a that the grid search tries."""


class RangedQuantizer(Quantizer):
    """A site whose observed range is scaled by a learned factor a (`log_factor` holds log(a / first_factor))."""

    own_gradient = True
    first_factor: Tensor

    def __init__(self, qtype: QType, observer: Observer) -> None:
        super().__init__(qtype, observer)
        self.register_buffer("first_factor", torch.ones(()))
        self.log_factor = nn.Parameter(torch.zeros(()))

    @property
    def factor(self) -> float:
        """a; infinite where it grew past float64, so that the loss tells."""
        try:
            return self.first_factor.item() * math.exp(self.log_factor.item())
        except OverflowError:
            return math.inf

    def range(self) -> tuple[float, float]:
        low, high = self.observer.range()
        return self.factor * low, self.factor * high

    def qparams(self) -> QParams:
        return scale_zero_point(*self.range(), self.qtype)

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        first = self.is_empty
        super().observe(x, protected, ptr)
        if first and not self.is_empty:  # a batch of zeros alone has no best factor
            self.first_factor.fill_(self.best_factor(shown(x, protected)))

    @property
    def is_empty(self) -> bool:
        """Whether nothing but zeros was observed."""
        low, high = self.observer.range()
        return not self.observer.seen.item() or low == high

    def best_factor(self, x: Tensor) -> float:
        """The factor of FACTORS whose levels lie closest to flat x in the mean (the smallest of equal ones)."""
        low, high = self.observer.range()
        errors = [self.error(x, scale_zero_point(a * low, a * high, self.levels)) for a in FACTORS.tolist()]
        return float(FACTORS[errors.index(min(errors))])

    @property
    def levels(self) -> QType:
        """The codes that values are rounded to."""
        return self.qtype

    def error(self, x: Tensor, params: QParams) -> float:
        """Mean |x - x^|."""
        return (x - self.quantized(x, params, None)).abs().mean().item()

    def quantized(self, x: Tensor, params: QParams, protected: Protected | None) -> Tensor:
        return rounded(x, params, self.levels, protected)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        params = scale_zero_point(*self.range(), self.levels)
        out = self.quantized(x, params, protected)
        if not torch.is_grad_enabled():
            return out
        ranged: Tensor = _Ranged.apply(x, self.log_factor, out, params, self.levels, protected)  # type: ignore[no-untyped-call]
        return ranged


class TruncatedQuantizer(RangedQuantizer):
    """Two bits a value, the upper two of eight. `skewed`: BT*, values are moved by their skewness first.

    `skew` is what the last training step saw, so that evaluation is a fixed function.
    """

    own_levels = True
    skew: Tensor

    def __init__(self, observer: Observer, skewed: bool) -> None:
        super().__init__(QType(2, signed=False), observer)
        self.skewed = skewed
        self.register_buffer("skew", torch.zeros(()))

    @property
    def levels(self) -> QType:
        return BYTE

    def qparams(self) -> QParams:
        return scale_zero_point(*self.range(), BYTE)

    def grid(self, x: Tensor) -> Grid:
        """Two bits a value; the levels are four of the byte's."""
        one = Grid.of(self.qparams(), BYTE)
        return Grid(one.step, one.zero, one.low, one.high, torch.tensor(float(self.qtype.bits)))

    def forward(self, x: Tensor, protected: Tensor | None = None, node: Tensor | None = None) -> Tensor:
        """Of a range on both sides of 0 no level is 0: what CSR rows do not store is not 0 either then."""
        if x.layout == torch.sparse_csr and x.values().numel() and x.values().min() < 0:
            x = x.to_dense()
        return super().forward(x, protected, node)

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        if self.skewed:
            self.skew.fill_(skewness(shown(x, protected)))
        super().observe(x, protected, ptr)

    def quantized(self, x: Tensor, params: QParams, protected: Protected | None) -> Tensor:
        out = truncated(x, params, round(self.skew.item()))
        return out if protected is None else torch.where(protected.mask(x), x.detach(), out)


def truncated(x: Tensor, params: QParams, shift: int) -> Tensor:
    """x^ of two bits out of the eight of `params`."""
    codes = (x.detach() * params.inverse).round_().add_(params.zero_point + shift).clamp_(BYTE.qmin, BYTE.qmax)
    return (SPREAD * (codes / KEPT).floor_() - params.zero_point) * params.scale


def skewness(x: Tensor) -> float:
    """Third standardised moment of all values; 0 where they do not differ (or are not finite)."""
    values = x.detach().float().flatten()
    centred = values - values.mean()
    spread = centred.square().mean().sqrt()
    found = ((centred / spread) ** 3).mean().item() if spread > 0 else 0.0
    return found if math.isfinite(found) else 0.0


class _Ranged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _log_factor: Tensor, out: Tensor, params: QParams, qtype: QType,
        protected: Protected | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, out)
        ctx.params, ctx.qtype, ctx.protected = params, qtype, protected
        return out.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """d/d(log a) = a d/da: x^ - x inside, x^ outside, each times the gradient; a protected row's terms cancel."""
        x, out = ctx.saved_tensors
        grad = grads[0].contiguous()
        low, high = ctx.qtype.qmin - ctx.params.zero_point, ctx.qtype.qmax - ctx.params.zero_point
        to_x, _, _ = learned(grad, x, ctx.protected, ctx.params.inverse, low, high)
        return to_x, (grad * out - to_x * x).sum(), None, None, None, None
