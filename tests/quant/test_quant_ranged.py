"""Learned ranges: gradient against finite differences, a moves, grid search, bitwise truncation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import rows, sparse

from dqviz.errors import Unavailable
from dqviz.integer.codes import grid_of
from dqviz.quant import QType
from dqviz.quant.functional import QParams, scale_zero_point
from dqviz.quant.observers import make_observer
from dqviz.quant.ranged import FACTORS, RangedQuantizer, TruncatedQuantizer, skewness, truncated


def test_truncated_bits_have_no_integer_run() -> None:
    """Its levels are four of a byte's: a run on two bits with the byte's step would be another network."""
    quantizer = TruncatedQuantizer(make_observer("abs", 2), skewed=False)
    quantizer(torch.tensor([0.0, 0.3, 0.5, 1.0]))
    with pytest.raises(Unavailable, match="not evenly spaced"):
        grid_of(quantizer)


def ranged(x: torch.Tensor, bits: int = 4, factor: float | None = None) -> RangedQuantizer:
    """A quantizer in training that has seen x; `factor`: a."""
    quantizer = RangedQuantizer(QType(bits), make_observer("abs", bits))
    quantizer(x)
    if factor is not None:
        quantizer.first_factor.fill_(factor)
    return quantizer


def carried(x: float, a: float, low: float, high: float, qtype: QType, residual: float) -> float:
    """x^ for a range factor a in float64, the rounding's residual (in steps) held as it is: clip, then add it."""
    step = a * (high - low) / (qtype.qmax - qtype.qmin)
    zero = np.clip(qtype.qmin - np.rint(a * low / step), qtype.qmin, qtype.qmax)
    if x / step <= qtype.qmin - zero:
        return (qtype.qmin - zero) * step
    if x / step >= qtype.qmax - zero:
        return (qtype.qmax - zero) * step
    return x + residual * step


def test_a_first_batch_of_zeros_does_not_choose_the_factor() -> None:
    x = torch.linspace(-1, 1, 101)
    late = ranged(torch.zeros(5))
    late(x)
    assert late.factor == pytest.approx(ranged(x).factor)
    assert late.factor > 0.5


@settings(deadline=None, max_examples=150)
@given(st.floats(-3, 3, width=16), st.sampled_from([2, 4, 8]), st.floats(0.3, 1.1))
def test_gradient_of_the_factor_is_the_finite_difference(x: float, bits: int, a: float) -> None:
    """Of x^ with the residual of its rounding carried along (what straight-through means); exact where clipped."""
    low, high, qtype = -1.5, 2.25, QType(bits)
    quantizer = ranged(torch.tensor([low, high]), bits, a)
    value = torch.tensor([x], requires_grad=True)
    quantizer.eval()(value).sum().backward()  # in evaluation the observer sees nothing
    scale, zero = scale_zero_point(*quantizer.range(), qtype)
    steps = x / scale
    if min(abs(steps - (qtype.qmin - zero)), abs(steps - (qtype.qmax - zero))) < 0.01:
        return  # at a kink there is no derivative
    residual, h = float(np.rint(steps) - steps), 1e-6
    ends = [carried(x, a * math.exp(sign * h), low, high, qtype, residual) for sign in (1, -1)]
    found = quantizer.log_factor.grad
    assert found is not None
    assert found.item() == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=2e-4)
    assert value.grad is not None
    assert value.grad.item() == float(qtype.qmin - zero < steps < qtype.qmax - zero)


def test_the_range_moves_to_where_the_loss_falls() -> None:
    """Squared error of normal values in 2 bits: a learns a narrower range than min and max, and the error falls."""
    torch.manual_seed(0)
    x = torch.randn(4000)
    quantizer = ranged(x, bits=2, factor=1.0)
    adam = torch.optim.Adam([quantizer.log_factor], lr=0.02)
    first = None
    for _ in range(100):
        adam.zero_grad()
        loss = (quantizer(x) - x).square().mean()
        loss.backward()
        adam.step()
        first = loss.item() if first is None else first
    assert quantizer.factor < 0.7
    assert loss.item() < 0.5 * first
    low, high = quantizer.range()
    assert high - low < 0.7 * (x.max() - x.min())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_grid_search_starts_where_the_mean_error_is_least(bits: int) -> None:
    torch.manual_seed(1)
    x = torch.randn(500) ** 3
    found = ranged(x, bits)
    errors = {}
    for a in FACTORS.tolist():
        other = ranged(x, bits, a).eval()
        errors[a] = (other(x) - x).abs().mean().item()
    assert found.factor == pytest.approx(min(errors, key=errors.__getitem__))


def test_truncation_keeps_the_upper_two_bits() -> None:
    """Step 1, zero point 0: 0..63 -> 0, 64..127 -> 85, 128..191 -> 170, 192..255 -> 255; a shift moves codes first."""
    params = QParams(1.0, 0)
    x = torch.tensor([0.0, 63.0, 64.0, 127.4, 128.0, 191.0, 192.0, 400.0, -5.0])
    assert truncated(x, params, 0).tolist() == [0, 0, 85, 85, 170, 170, 255, 255, 0]
    assert truncated(x, params, 1).tolist() == [0, 85, 85, 170, 170, 255, 255, 255, 0]
    assert truncated(torch.tensor([-10.0, 60.0]), QParams(1.0, 10), 0).tolist() == [-10, 75]


def test_truncated_values_take_two_bits_and_follow_their_skewness() -> None:
    torch.manual_seed(0)
    x = torch.rand(1000) ** 4
    plain, moved = (TruncatedQuantizer(make_observer("abs", 2), skewed) for skewed in (False, True))
    for quantizer in (plain, moved):
        out = quantizer(x)
        assert len(out.unique()) <= 4
        assert quantizer.mean_bits(x) == 2
    assert plain.skew == 0
    assert round(moved.skew.item()) == round(skewness(x)) == 1
    assert skewness(torch.ones(5)) == 0
    assert skewness(torch.tensor([0.0, 0.0, 0.0, 1.0])) == pytest.approx(2 / math.sqrt(3))


def test_a_factor_past_all_floats_makes_the_loss_tell() -> None:
    quantizer = ranged(torch.tensor([-1.0, 2.0]))
    with torch.no_grad():
        quantizer.log_factor.fill_(1e4)
    assert quantizer.factor == math.inf
    assert quantizer(torch.tensor([1.0, 2.0])).isnan().all()


@pytest.mark.parametrize("signed", [False, True])
def test_truncated_csr_rows_are_quantized_as_dense_ones(signed: bool) -> None:
    """Of a range on both sides of 0 no level is 0, so that values which CSR rows leave out are not 0 either."""
    x = rows() - (0.3 * rows(seed=1) if signed else 0)
    dense, csr = (TruncatedQuantizer(make_observer("abs", 2), skewed=False).train() for _ in range(2))
    out = csr(sparse(x))
    assert torch.equal(dense(x), out.to_dense() if out.layout == torch.sparse_csr else out)
    assert (out.layout == torch.sparse_csr) == (not signed)
