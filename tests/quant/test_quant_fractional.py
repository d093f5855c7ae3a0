"""Learned real bits: values by hand, powers of two, the gradient of bits against the error, borders, protection."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqviz.quant import QType
from dqviz.quant.fractional import FractionalQuantizer
from dqviz.quant.observers import RunningMinMax


def site(bits: float, lo: float, hi: float, most: int = 8, signed: bool = True) -> FractionalQuantizer:
    """In training, searching, of the range [lo, hi]."""
    quantizer = FractionalQuantizer(QType(most, signed), RunningMinMax())
    quantizer.observer.observe(torch.tensor([lo, hi]))
    quantizer.state = "search"
    with torch.no_grad():
        quantizer.bits.fill_(bits)
    return quantizer


def test_values_by_hand() -> None:
    """Range +-3: 2 whole bits and a sign; 4 bits leave one behind the point."""
    x = torch.tensor([3.0, -3.0, 0.3, 0.2, 1.26, -0.76])
    assert torch.equal(site(4.0, -3, 3)(x), torch.tensor([3.0, -3.0, 0.5, 0.0, 1.5, -1.0]))
    assert torch.equal(site(4.4, -3, 3)(x), site(3.6, -3, 3)(x))
    unsigned = site(3.0, 0, 3, signed=False)
    assert torch.equal(unsigned(torch.tensor([0.3, 2.9, 0.2])), torch.tensor([0.5, 3.0, 0.0]))
    assert (unsigned.qparams().scale, unsigned.qparams().zero_point) == (0.5, 0)
    assert torch.equal(unsigned.eval()(torch.tensor([0.3, 2.9, -1.0])), torch.tensor([0.5, 3.0, 0.0]))


def test_an_input_that_was_negative_has_a_sign() -> None:
    """Inputs have unsigned codes, and there is no zero point: ELU's negative values would all be 0."""
    unsigned = site(4.0, -3, 3, signed=False)
    x = torch.tensor([3.0, -3.0, 0.3, -0.76])
    assert unsigned.qtype == QType(4, signed=True)
    assert torch.equal(unsigned(x), site(4.0, -3, 3)(x))


@given(st.floats(1e-6, 1e6), st.integers(2, 8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_step_is_a_power_of_two_that_spans_the_range(reach: float, bits: int, signed: bool) -> None:
    quantizer = site(float(bits), 0.0, reach, signed=signed)
    params = quantizer.qparams()
    assert math.log2(params.scale).is_integer()
    assert params.zero_point == 0
    if params.scale > 1e-6:
        assert (quantizer.qtype.qmax + 1) * params.scale > float(torch.tensor(reach)) * (1 - 1e-6)
        assert quantizer.qtype.qmax * params.scale < 2 * reach


@pytest.mark.parametrize("bits", [3, 4, 5, 6])
def test_the_gradient_of_bits_is_that_of_the_squared_error(bits: int) -> None:
    """Each bit quarters the squared error of evenly spread values: d/db = -2 ln 2 times it."""
    torch.manual_seed(0)
    x = torch.rand(200_000) * 1.9 - 1.0
    quantizer = site(float(bits), -1.0, 0.9)  # spans +-2: nothing is clipped
    loss = (quantizer(x) - x).square().sum()
    loss.backward()
    assert quantizer.bits.grad is not None
    assert quantizer.bits.grad.item() == pytest.approx(-2 * math.log(2) * loss.item(), rel=1e-4)
    finer = (site(bits + 1.0, -1.0, 0.9)(x) - x).square().sum()
    assert finer.item() == pytest.approx(loss.item() / 4, rel=0.1)


def test_what_is_clipped_or_protected_moves_nothing() -> None:
    quantizer = site(3.0, -1, 0.9)
    quantizer.eval()
    x = torch.tensor([5.0, 0.3], requires_grad=True)
    quantizer.train()
    quantizer.observe = lambda *_: None  # type: ignore[method-assign]
    quantizer(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0]
    error = 0.3 - 0.5
    assert quantizer.bits.grad is not None
    assert quantizer.bits.grad.item() == pytest.approx(math.log(2) * error, rel=1e-5)
    y = torch.tensor([[5.0], [0.3]], requires_grad=True)
    quantizer.bits.grad = None
    out = quantizer(y, torch.tensor([True, False]))
    out.sum().backward()
    assert out[0].item() == 5.0
    assert y.grad is not None
    assert y.grad.flatten().tolist() == [1.0, 1.0]
    assert quantizer.bits.grad.item() == pytest.approx(math.log(2) * error, rel=1e-5)


def test_bits_that_are_not_finite_leave_a_network_that_can_tell() -> None:
    quantizer = site(math.nan, -1, 1, most=4)
    quantizer(torch.randn(5))
    assert quantizer.qtype.bits == 4


def test_bits_stay_between_2_and_the_most_and_rest_after_the_search() -> None:
    x = torch.randn(50, requires_grad=True)
    for wild, expected in ((-3.0, 2), (40.0, 4)):
        quantizer = site(wild, -1, 1, most=4)
        quantizer(x)
        assert quantizer.bits.item() == expected == quantizer.qtype.bits
    quantizer.state = "on"
    quantizer(x).sum().backward()
    assert quantizer.bits.grad is None


@pytest.mark.parametrize("reach", [0.0, math.inf, math.nan])
def test_empty_and_broken_ranges(reach: float) -> None:
    quantizer = FractionalQuantizer(QType(4), RunningMinMax())
    quantizer.observer.keep((-reach, reach))
    scale = quantizer.qparams().scale
    assert scale == 1.0 if reach == 0 else math.isnan(scale)
