"""The affine quantizer: values worked out by hand, torch's own operator, and properties that hold for all values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqviz.quant import QType
from dqviz.quant.functional import EPS, QParams, fake_quantize, scale_zero_point, straight

INT8, UINT8, INT4, UINT2 = QType(8), QType(8, False), QType(4), QType(2, False)
finite = st.floats(-1e6, 1e6, width=32)
qtypes = st.builds(QType, st.sampled_from([2, 3, 4, 8, 16]), st.booleans())


@pytest.mark.parametrize(
    ("qtype", "qmin", "qmax", "levels"),
    [(INT8, -128, 127, 256), (UINT8, 0, 255, 256), (INT4, -8, 7, 16), (UINT2, 0, 3, 4), (QType(3), -4, 3, 8)],
)
def test_codes_of_a_type(qtype: QType, qmin: int, qmax: int, levels: int) -> None:
    assert (qtype.qmin, qtype.qmax, qtype.levels, qtype.is_float) == (qmin, qmax, levels, False)


@pytest.mark.parametrize(
    ("lo", "hi", "qtype", "scale", "zero_point"),
    [
        (-7.5, 7.5, INT4, 1.0, 0),  # -8 - round(-7.5) = -8 + 8: half goes to even
        (0.0, 1.5, INT4, 0.1, -8),
        (0.5, 1.5, INT4, 0.1, -8),  # all positive: widened to 0
        (-3.0, -1.0, INT4, 0.2, 7),  # all negative: widened to 0
        (0.0, 3.0, UINT2, 1.0, 0),
        (-1.0, 2.0, UINT2, 1.0, 1),
        (-2.0, 253.0, UINT8, 1.0, 2),
        (0.0, 0.0, INT8, 1.0, 0),  # empty range
        (2.0, 2.0, UINT8, 2 / 255, 0),  # lo = hi away from 0 is the range [0, 2]
        (-1e-9, 1e-9, INT8, float(EPS), -128),  # the step is at least float32 eps
    ],
)
def test_range_to_scale_and_zero_point(lo: float, hi: float, qtype: QType, scale: float, zero_point: int) -> None:
    found = scale_zero_point(lo, hi, qtype)
    assert found.scale == float(np.float32(found.scale))
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.zero_point == zero_point


def codes_of(x: torch.Tensor, params: QParams, qtype: QType) -> torch.Tensor:
    """Integer codes of x, held in float32."""
    return (fake_quantize(x, params, qtype) / params.scale).round() + params.zero_point


def test_codes_and_values_by_hand() -> None:
    params = QParams(0.5, -1)
    x = torch.tensor([0.0, 0.24, 0.25, 0.26, 0.75, -0.25, -0.75, 1.25, 100.0, -100.0])
    codes = codes_of(x, params, INT4)
    assert codes.tolist() == [-1, -1, -1, 0, 1, -1, -3, 1, 7, -8]  # ties: 0.5 -> 0, 1.5 -> 2, -1.5 -> -2, 2.5 -> 2
    assert fake_quantize(x, params, INT4).tolist() == [(c + 1) * 0.5 for c in codes.tolist()]


def test_the_reciprocal_is_rounded_once() -> None:
    """x * (1 / s), not x / s: they differ on ties, and the integer engine does as we do."""
    scale = float(np.float32(0.013))
    ties = torch.arange(-200, 200, dtype=torch.float32).add(0.5) * scale
    ours = codes_of(ties, QParams(scale, 0), QType(16))
    divided = (ties / scale).round()
    assert (ours != divided).any()
    assert torch.equal(ours, (ties * (torch.ones(()) / torch.tensor(scale))).round())


@pytest.mark.parametrize("gradient", ["ste", "gc"])
def test_gradients_at_the_extreme_codes(gradient: str) -> None:
    params = QParams(0.5, 1)  # codes -8..7 stand for -4.5..3.0
    x = torch.tensor([-100.0, -4.5, -4.0, 0.0, 2.5, 3.0, 100.0], requires_grad=True)
    fake_quantize(x, params, INT4, gradient).backward(torch.arange(1.0, 8.0))
    expected = [1, 2, 3, 4, 5, 6, 7] if gradient == "ste" else [0, 0, 3, 4, 5, 0, 0]
    assert x.grad is not None
    assert x.grad.tolist() == expected


@settings(deadline=None, max_examples=150)
@given(st.lists(finite, min_size=1, max_size=40), finite, finite, st.sampled_from([2, 3, 4, 8]), st.booleans())
def test_torch_has_the_same_values(values: list[float], a: float, b: float, bits: int, signed: bool) -> None:
    qtype = QType(bits, signed)
    params = scale_zero_point(min(a, b), max(a, b), qtype)
    ties = torch.arange(qtype.qmin - 3, qtype.qmax + 3).add(0.5) * params.scale
    x = torch.cat([torch.tensor(values), ties])
    theirs = torch.fake_quantize_per_tensor_affine(x, params.scale, params.zero_point, qtype.qmin, qtype.qmax)
    assert torch.equal(fake_quantize(x, params, qtype), theirs)


@settings(deadline=None, max_examples=150)
@given(st.lists(finite, min_size=2, max_size=40), qtypes)
def test_values_lie_on_the_grid_and_close(values: list[float], qtype: QType) -> None:
    x = torch.tensor(values)
    params = scale_zero_point(x.min().item(), x.max().item(), qtype)
    codes = codes_of(x, params, qtype)
    assert torch.equal(codes, codes.round())
    assert codes.min() >= qtype.qmin
    assert codes.max() <= qtype.qmax
    out = fake_quantize(x, params, qtype)
    assert torch.equal(out, (codes - params.zero_point) * params.scale)
    lowest, highest = ((c - params.zero_point) * params.scale for c in (qtype.qmin, qtype.qmax))
    inside = (x >= lowest) & (x <= highest)
    slack = 1e-6 * max(abs(lowest), abs(highest), params.scale)
    assert bool(((out - x).abs() <= params.scale / 2 + slack)[inside].all())
    # The rounded zero point moves the grid by at most half a step, so nothing is clipped by more than that.
    assert bool(((out - x).abs() <= params.scale + slack).all())


@settings(deadline=None)
@given(finite, finite, qtypes)
def test_zero_is_exact(a: float, b: float, qtype: QType) -> None:
    params = scale_zero_point(min(a, b), max(a, b), qtype)
    assert qtype.qmin <= params.zero_point <= qtype.qmax
    assert fake_quantize(torch.zeros(1), params, qtype).item() == 0.0


@settings(deadline=None)
@given(st.lists(finite, min_size=2, max_size=40), qtypes)
def test_order_is_kept(values: list[float], qtype: QType) -> None:
    x = torch.tensor(values).sort().values
    out = fake_quantize(x, scale_zero_point(x[1].item(), x[-2].item(), qtype), qtype)
    assert bool((out.diff() >= 0).all())


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (-math.inf, 1.0), (0.0, math.inf), (-3e38, 3e38)])
def test_a_range_without_end_gives_nan(bad: tuple[float, float]) -> None:
    """A diverged training is told by its loss; it must not die earlier of an integer that cannot be made."""
    out = fake_quantize(torch.tensor([0.5, 2.0]), scale_zero_point(*bad, INT8), INT8)
    assert bool(out.isnan().all())


def test_straight_passes_every_gradient_and_no_other_value() -> None:
    x = torch.tensor([0.2, 5.0], requires_grad=True)
    out = fake_quantize(x, QParams(0.5, 0), QType(2, signed=True), "gc")
    passed = straight(x, out)
    assert torch.equal(passed, out)
    passed.backward(torch.tensor([2.0, 3.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 3.0]
