"""Learned steps: first step, gradients against the formulas of LSQ and LSQ+, protection, CSR rows, ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import rows, sparse

from dqviz.quant import QType
from dqviz.quant.learned import LearnedQuantizer, highest

MASK = torch.tensor([True, False] * 6)


def learned(x: torch.Tensor, bits: int = 4, signed: bool = True, symmetric: bool = False) -> LearnedQuantizer:
    """A quantizer in training whose first batch was x."""
    quantizer = LearnedQuantizer(QType(bits, signed), symmetric)
    quantizer(x)
    return quantizer


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_first_step_of_weights(bits: int) -> None:
    """2 mean|x| / sqrt(qmax), zero point 0, not learned."""
    x = torch.tensor([-3.0, 1.0, 0.0, 2.0])
    quantizer = learned(x, bits, symmetric=True)
    expected = 2 * 2 / math.sqrt(2 ** (bits - 1) - 1)
    assert quantizer.qparams() == (float(np.float32(expected)), 0)
    assert quantizer.shift is None
    quantizer(x * 9)
    assert quantizer.qparams().scale == float(np.float32(expected)), "only the first batch counts"


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_first_step_of_values_of_one_sign_uses_all_codes(bits: int, signed: bool) -> None:
    quantizer = learned(torch.tensor([0.0, 1.0, 3.0]), bits, signed)
    scale, zero_point = quantizer.qparams()
    assert scale == pytest.approx(4 / math.sqrt(2**bits - 1), rel=1e-6)
    assert zero_point == quantizer.qtype.qmin
    assert learned(torch.tensor([0.0, -1.0, -3.0]), bits, signed).qparams().zero_point == quantizer.qtype.qmax


def by_formula(
    x: list[float], grad: list[float], scale: float, zero_point: int, qtype: QType
) -> tuple[list[float], float, float]:
    """Gradients to x, to log s and to z in float64, value by value."""
    low, high = qtype.qmin - zero_point, qtype.qmax - zero_point
    g = 1 / math.sqrt(len(x) * highest(zero_point, qtype))
    to_x, to_step, to_zero = [], 0.0, 0.0
    for value, gradient in zip(x, grad, strict=True):
        steps = value / scale
        inside = low < steps < high
        to_x.append(gradient if inside else 0.0)
        to_step += gradient * (np.rint(steps) - steps if inside else (low if steps <= low else high))
        to_zero += 0.0 if inside else -scale * gradient
    return to_x, g * scale * to_step, g * to_zero


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.floats(-4, 4, width=16), st.floats(-1, 1, width=16)), min_size=1, max_size=40),
    st.sampled_from([2, 3, 4, 8]), st.booleans(), st.floats(-0.4, 0.4), st.floats(-2, 2),
)  # fmt: skip
def test_gradients_are_those_of_the_formulas(
    pairs: list[tuple[float, float]], bits: int, signed: bool, shift: float, log_step: float
) -> None:
    values, grad = [v for v, _ in pairs], [g for _, g in pairs]
    quantizer = learned(torch.tensor([-1.0, 0.7, 2.0]), bits, signed)
    with torch.no_grad():
        quantizer.log_step.fill_(log_step)
        quantizer.shift.fill_(shift)
    scale, zero_point = quantizer.qparams()
    x = torch.tensor(values, requires_grad=True)
    quantizer(x).backward(torch.tensor(grad))
    qtype = quantizer.qtype
    to_x, to_step, to_zero = by_formula(values, grad, scale, zero_point, qtype)
    assert x.grad.tolist() == pytest.approx(to_x)
    assert quantizer.log_step.grad.item() == pytest.approx(to_step, rel=1e-3, abs=1e-4)
    ends = (min(to_zero, 0.0), qtype.qmin), (max(to_zero, 0.0), qtype.qmax)
    expected = next((kept for kept, end in ends if zero_point == end), to_zero)
    assert quantizer.shift.grad.item() == pytest.approx(expected * qtype.levels, rel=1e-3, abs=1e-4)


def test_the_step_follows_its_gradient() -> None:
    """Values far outside the range: the step must grow until they fit."""
    quantizer = learned(torch.randn(200), bits=4)
    x = 20 * torch.randn(200)
    adam = torch.optim.Adam(quantizer.parameters(), lr=0.05)
    errors = []
    for _ in range(150):
        adam.zero_grad()
        error = (quantizer(x) - x).square().mean()
        error.backward()
        adam.step()
        errors.append(error.item())
    assert errors[-1] < 0.02 * errors[0]


def test_protected_rows_do_not_count() -> None:
    """Not for the first step, not for the gradients, not for how many values there are."""
    x = rows(zeros=0.0) + 0.1
    x[MASK] *= 1000
    grad = torch.randn(12, 5)
    some, alone = LearnedQuantizer(QType(4)), LearnedQuantizer(QType(4))
    out, expected = some(x, MASK), alone(x[~MASK])
    assert torch.equal(out[MASK], x[MASK])
    assert torch.equal(out[~MASK], expected)
    out.backward(grad)
    expected.backward(grad[~MASK])
    assert some.qparams() == alone.qparams()
    assert some.log_step.grad.item() == pytest.approx(alone.log_step.grad.item(), rel=1e-5)
    assert some.shift.grad.item() == pytest.approx(alone.shift.grad.item(), rel=1e-5)


def test_a_batch_of_protected_rows_sets_no_step() -> None:
    quantizer = LearnedQuantizer(QType(4))
    x = rows(zeros=0.0)
    assert torch.equal(quantizer(x, torch.ones(12, dtype=torch.bool)), x)
    assert not quantizer.observer.seen
    quantizer(x)
    assert quantizer.observer.seen


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 8])
def test_csr_rows_as_dense_ones(bits: int, signed: bool) -> None:
    dense, thin = LearnedQuantizer(QType(bits, signed)), LearnedQuantizer(QType(bits, signed))
    x = rows()
    out = thin(sparse(x), MASK)
    assert torch.equal(out.to_dense(), dense(x, MASK))
    assert thin.qparams() == dense.qparams()


def test_zero_stays_zero_wherever_the_zero_point_goes() -> None:
    for shift in (-3.0, -0.2, 0.3, 5.0, math.nan):
        quantizer = learned(torch.randn(30), bits=4)
        with torch.no_grad():
            quantizer.shift.fill_(shift)
        assert quantizer(torch.zeros(3)).tolist() == [0, 0, 0]
        assert quantizer.qtype.qmin <= quantizer.qparams().zero_point <= quantizer.qtype.qmax


@pytest.mark.parametrize("ratio", [800.0, 90.0, math.inf, math.nan])
def test_a_step_that_leaves_float32_turns_values_to_nan(ratio: float) -> None:
    quantizer = learned(torch.randn(30), bits=4)
    with torch.no_grad():
        quantizer.log_step.fill_(ratio)
    assert quantizer(torch.ones(3)).isnan().all()


def test_range_and_state() -> None:
    """A saved state gives the same step; the range is what the extreme codes stand for."""
    quantizer = learned(torch.randn(30), bits=4)
    with torch.no_grad():
        quantizer.log_step.fill_(0.3)
        quantizer.shift.fill_(0.1)
    other = LearnedQuantizer(QType(4))
    other.load_state_dict(quantizer.state_dict())
    assert other.qparams() == quantizer.qparams()
    low, high = quantizer.range()
    ends = quantizer.eval()(torch.tensor([-1e6, 1e6])).tolist()
    assert [low, high] == pytest.approx(ends)
