"""Symmetric codes whose step and width are learned (A2Q), with the gradient of the task or of the site's own error.

    q = sign(x) floor(|x| / s + 1/2) clipped to +-(2^(b-1) - 1),    x^ = q s

    dx^/ds = q - x/s inside the range, q outside;    dx^/db = 0 inside, sign(x) 2^(b-1) ln 2 s outside
    dx^/dx = 1 inside, 0 outside

b is a real number that is rounded here. Where no value is negative the sign is not stored: codes run from 0 and take
b - 1 bits. `local`: s and b follow the error of their own row, E_i = (1/d) ||x^_i - x_i||_1, in place of the loss:
where few nodes are labelled the loss says nothing about most of them. Ties go to the even code, as everywhere in dqviz,
because kernels round so. Source: Zhu et al., ICLR 2023 (arXiv 2302.00193), and the authors' code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dqviz.quant.passes import Protected


def stepped(
    x: Tensor, step: Tensor, width: Tensor, signed: bool, protected: Protected | None = None, local: bool = False,
    count: Tensor | float = 1.0,
) -> Tensor:  # fmt: skip
    """x^ of x. `step` (positive float32) and `width` (b) broadcast to x and get gradients of their own shape.

    `local`: those of E, whose d is `count` (a number, or broadcasting to x). Protected rows stay as they are.
    """
    out: Tensor = _Stepped.apply(x, step, width, signed, protected, count if local else None)  # type: ignore[no-untyped-call]
    return out


class _Stepped(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, width: Tensor, signed: bool, protected: Protected | None,
        count: Tensor | float | None,
    ) -> Tensor:  # fmt: skip
        top = largest(width)
        codes = codes_of(x, step, top, signed)
        out = codes * step
        if protected is not None:
            out = torch.where(protected.mask(x), x, out)
        ctx.save_for_backward(x, step, top, codes)
        ctx.signed, ctx.protected, ctx.count = signed, protected, count
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, step, top, codes = ctx.saved_tensors
        (grad,) = grads
        ratio = x / step
        outside = (ratio.abs() > top) if ctx.signed else (ratio > top) | (ratio < 0)
        own = grad if ctx.count is None else torch.sign(codes - ratio) / ctx.count
        if ctx.protected is not None:
            mask = ctx.protected.mask(x)
            own, to_x = own.masked_fill(mask, 0), grad.masked_fill(outside & ~mask, 0)
        else:
            to_x = grad.masked_fill(outside, 0)
        to_step = own * (codes - ratio.masked_fill(outside, 0))
        to_width = own * codes.sign().masked_fill(~outside, 0) * ((top + 1) * math.log(2) * step)
        return to_x, to_step.sum_to_size(step.shape), to_width.sum_to_size(top.shape), None, None, None


def largest(width: Tensor) -> Tensor:
    """2^(b-1) - 1, the largest code of widths b, rounded."""
    return torch.exp2(width.detach().round() - 1) - 1


def codes_of(x: Tensor, step: Tensor, top: Tensor, signed: bool) -> Tensor:
    """Codes of x, held in its type; as `passes.fake` rounds."""
    steps = x.detach() * (1 / step.detach())
    if x.dtype == torch.float64:
        steps = steps.float().double()
    return steps.round_().clamp_(-top if signed else torch.zeros_like(top), top)
