"""Dense products and epilogues: every kernel equals the int64 reference to the bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from contract_graphs import BITS, CHANNELS, codes, epilogues, values
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import REFERENCE, same, same_everywhere, small_work_is_shared_too

from dqviz.integer.codes import Codes, Grid
from dqviz.integer.epilogue import Dequantize, Requantize, elu_steps, elu_thresholds
from dqviz.integer.kernels.base import INT32_MAX
from dqviz.integer.weight import Weight, weight_of

__all__ = ["small_work_is_shared_too"]
few = settings(deadline=None, max_examples=40)  # each example runs every kernel, and the first ones compile


@st.composite
def weights(draw: st.DrawFn, inner: int, channels: int) -> Weight:
    bits = draw(st.sampled_from(BITS))
    zero = draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    return weight_of(values(inner, channels, bits, 1), Grid(0.1, zero, bits))


@st.composite
def inputs(draw: st.DrawFn, rows: int, inner: int) -> Codes:
    bits = draw(st.sampled_from(BITS))
    x = codes(rows, inner, bits, 2, draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)))
    return x.packed() if draw(st.booleans()) else x


@few
@given(data=st.data())
def test_dense_product(data: st.DataObject) -> None:
    rows, inner = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 70))
    channels = data.draw(st.sampled_from(CHANNELS))
    weight, x = data.draw(weights(inner, channels)), data.draw(inputs(rows, inner))
    logits = Dequantize(np.full(channels, 1e-3), np.full(channels, 0.25))
    scaled = replace(logits, rows=np.random.default_rng(rows).random(rows))
    for epilogue in (None, data.draw(epilogues(channels, rows)), logits, scaled):
        same_everywhere(REFERENCE.gemm(x, weight, epilogue), "gemm", x, weight, epilogue)


@pytest.mark.parametrize("bits", BITS)
def test_results_on_a_threshold_of_elu(bits: int) -> None:
    """Offsets are the thresholds themselves and the numbers next to them; the sums add nothing."""
    out = Grid(0.01, 2 ** (bits - 1) - 1, bits)
    steps = elu_thresholds(out.inverse, 2**bits - 1)
    offset = np.concatenate([steps, np.nextafter(steps, np.float32(0)), np.nextafter(steps, np.float32(-9e9))])
    epilogue = Requantize(np.ones(len(offset)), offset.astype(np.float64), False, out, thresholds=steps)
    x, weight = codes(3, 5, zero=0), weight_of(np.zeros((5, len(offset)), np.int8), Grid(1.0, 0, 8))
    expected = REFERENCE.gemm(x, weight, epilogue)
    assert isinstance(expected, Codes)
    above = out.zero_point - np.arange(len(steps))[::-1]
    np.testing.assert_array_equal(expected.values[0], np.concatenate([above, above, above - 1]))
    same_everywhere(expected, "gemm", x, weight, epilogue)


@few
@given(data=st.data())
def test_two_products_in_one_epilogue(data: st.DataObject) -> None:
    """SAGE: sums of different scales, inputs of different widths and bits."""
    rows, channels = data.draw(st.integers(0, 20)), data.draw(st.sampled_from(CHANNELS))
    factors = []
    for _ in range(2):
        inner = data.draw(st.integers(1, 70))
        factors += [data.draw(inputs(rows, inner)), data.draw(weights(inner, channels))]
    drawn, also = data.draw(epilogues(channels, rows)), np.resize([0.013, 0.25, -3.0], channels)
    codes_ = Requantize(drawn.multiplier, drawn.offset, drawn.relu, drawn.out, thresholds=drawn.thresholds,
                        rows=drawn.rows, also=also)  # fmt: skip
    for epilogue in (codes_, Dequantize(drawn.multiplier, drawn.offset, also=also)):
        expected = REFERENCE.gemm_pair(*factors, epilogue)
        same_everywhere(expected, "gemm_pair", *factors, epilogue)
        sums = [np.asarray(REFERENCE.gemm(x, w)) for x, w in zip(factors[::2], factors[1::2], strict=True)]
        same_everywhere(expected, "combine", *sums, epilogue)


@few
@given(data=st.data())
def test_codes_and_sums_in_one_epilogue(data: st.DataObject) -> None:
    """A step of propagation: sums, or codes of any width, and codes; many rows, so that several are taken at once."""
    rows, channels = data.draw(st.sampled_from([0, 1, 5, 130, 301])), data.draw(st.sampled_from(CHANNELS))
    drawn, also = data.draw(epilogues(channels, rows)), np.resize([0.013, 0.25, -3.0], channels)
    codes_ = replace(drawn, also=also)
    sums = values(rows, channels, 8, 3).astype(np.int32) * 1000
    for first in (sums, data.draw(inputs(rows, channels)), sums.astype(np.int64)):
        second = data.draw(inputs(rows, channels))
        for epilogue in (codes_, Dequantize(drawn.multiplier, drawn.offset, also=also)):
            same_everywhere(REFERENCE.combine(first, second, epilogue), "combine", first, second, epilogue)
        same_everywhere(REFERENCE.combine(first, None, drawn), "combine", first, None, drawn)


def test_a_row_of_its_own_step_is_a_factor_of_its_sums() -> None:
    """Codes with a step for each row times weights, in real numbers, against the same in float64."""
    rng = np.random.default_rng(0)
    steps = (rng.random(20) + 0.1).astype(np.float32)
    x = Codes.of(values(20, 40), Grid(1.0, 3, 8, rows=steps))
    weight = weight_of(values(40, 6, 4, 1), Grid(0.5, 1, 4))
    epilogue = Dequantize(np.full(6, 0.5), np.linspace(-1, 1, 6), rows=steps.astype(np.float64))
    expected = REFERENCE.gemm(x, weight, epilogue)
    real = (x.values - 3.0) * steps[:, None] @ ((weight.codes.astype(float) - weight.zero) * 0.5) + epilogue.offset
    np.testing.assert_allclose(np.asarray(expected), real, rtol=1e-6)
    same_everywhere(expected, "gemm", x, weight, epilogue)


def test_dense_product_saturates_nowhere() -> None:
    """All operands at -128 or 127: an int16 intermediate would clip; 2,049 columns is no multiple of anything."""
    for x_code, w_code in ((-128, -128), (-128, 127), (127, 127)):
        x = Codes.of(np.full((9, 2049), x_code, np.int8), Grid(1.0, -128, 8))
        weight = weight_of(np.full((2049, 5), w_code, np.int8), Grid(1.0, 100, 8))
        same_everywhere(REFERENCE.gemm(x, weight), "gemm", x, weight)


@pytest.mark.parametrize("excess", [0, 1])
def test_a_dense_product_at_the_bound_of_int32(excess: int) -> None:
    """33,025 inputs of 255 x 255 are the last that int32 holds."""
    inner = INT32_MAX // 255**2 + excess
    x = Codes.of(np.full((2, inner), 127, np.int8), Grid(1.0, -128, 8))
    weight = weight_of(np.full((inner, 3), 127, np.int8), Grid(1.0, -128, 8))
    expected = np.full((2, 3), inner * 255**2, np.int64 if excess else np.int32)
    assert int(expected[0, 0]) == inner * 255**2
    same(REFERENCE.gemm(x, weight), expected)
    same_everywhere(expected, "gemm", x, weight)


@settings(deadline=None)
@given(acc=st.integers(-(2**31), 2**31 - 1), exponent=st.integers(-20, 3), offset=st.integers(-40, 40))
def test_requantize_against_exact_arithmetic(acc: int, exponent: int, offset: int) -> None:
    """Powers of two are exact in float64, so rational arithmetic gives the one right answer, ties to even."""
    epilogue = Requantize(np.array([2.0**exponent]), np.array([offset / 8]), False, Grid(1.0, 3, 8))
    y = Fraction(acc) * Fraction(2) ** exponent + Fraction(offset, 8)
    exact = round(Fraction(float(np.float32(float(y))))) + 3
    assert epilogue.apply(np.array([[acc]]))[0, 0] == max(-128, min(127, exact))


@pytest.mark.parametrize("inverse", [0.3, 0.7, 1.0, 3.0, 9.37, 255.0, 4000.0])
def test_elu_by_thresholds_is_elu(inverse: float) -> None:
    """On a fine grid of y, and on both sides of every threshold: rint(elu(y)) as the exponential gives it."""
    thresholds = elu_thresholds(inverse, 255)
    assert (np.diff(thresholds) > 0).all()
    assert (thresholds < 0).all()
    beside = np.concatenate([np.nextafter(thresholds, np.float32(0)), np.nextafter(thresholds, np.float32(-np.inf))])
    y = np.concatenate([np.linspace(-20, 3, 200_001, dtype=np.float32) * np.float32(inverse), beside])
    steps = np.maximum(elu_steps(y, thresholds), -255)
    real = np.where(y > 0, y, inverse * np.expm1(np.minimum(y, 0).astype(np.float64) / inverse))
    undecided = np.abs(np.abs(real - np.rint(real)) - 0.5) < 1e-4  # float32 y may lie on either side of a tie
    expected = np.maximum(np.rint(real), -255)
    np.testing.assert_array_equal(steps[(y < 0) & ~undecided], expected[(y < 0) & ~undecided])
    np.testing.assert_array_equal(steps[y >= 0], y[y >= 0])
    assert undecided.mean() < 0.1
