"""The passes in C give the bits of the passes in torch: spans of protected rows, CSR rows, ends, NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import fresh, rows, sparse

from dqviz.quant import passes
from dqviz.quant.functional import scale_zero_point
from dqviz.quant.passes import Protected, beyond, fake, inside, learned, look, sampled
from dqviz.quant.qtype import QType

pytestmark = pytest.mark.skipif(not passes.built(), reason="the C library is not built")
SHAPES = [(1,), (7,), (300,), (12, 5), (64, 16), (33, 7), (9, 2, 3), (1, 1000), (500, 1)]


@contextmanager
def in_torch() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "built", lambda: False)
        yield


def both(call: object, *args: object) -> tuple[object, object]:
    """The result in C and in torch."""
    first = call(*args)
    with in_torch():
        return first, call(*args)


def masks(x: torch.Tensor, seed: int = 0) -> list[Protected | None]:
    draw = torch.rand(x.size(0), generator=torch.Generator().manual_seed(seed))
    return [None, *(Protected(draw < share) for share in (0.0, 0.1, 0.5, 1.0))]


def bits(x: torch.Tensor) -> list[int]:
    return x.detach().contiguous().view(torch.int32).flatten().tolist()


def values(shape: tuple[int, ...]) -> torch.Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(shape) * (torch.rand(shape) < 0.7)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_look(shape: tuple[int, ...]) -> None:
    x = values(shape)
    for mask in masks(x):
        for lo, hi in ((0.0, 0.0), (-0.5, 0.4), (0.0, 9.0)):
            found, expected = both(look, x, mask, lo, hi)
            assert found[:2] == expected[:2]
            if found.low < lo or found.high > hi:
                assert found == expected


@pytest.mark.parametrize("place", [0, 15, 16, 99])
def test_a_look_at_what_is_not_a_number(place: int) -> None:
    x = torch.randn(100)
    x[place] = math.nan
    assert all(math.isnan(seen.low) and math.isnan(seen.high) for seen in both(look, x, None, 0.0, 0.0))
    x[place] = math.inf
    assert [seen.high for seen in both(look, x, None, 0.0, 0.0)] == [math.inf] * 2


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=400), st.integers(0, 399), st.floats(-3, 3, width=16),
    st.booleans(), st.integers(0, 9),
)  # fmt: skip
def test_the_kth_value_beyond_an_end(numbers: list[float], k: int, end: float, upper: bool, seed: int) -> None:
    """For any order of the values, with many equal ones, whole or with protected rows."""
    x = torch.tensor(numbers)
    for mask in masks(x, seed):
        shown = x if mask is None else x[~mask.rows]
        outside = shown[shown > end] if upper else shown[shown < end]
        if not outside.numel() or (mask is not None and (end < 0) == upper):
            continue
        rank = 1 + k % outside.numel()
        expected = outside.sort(descending=upper).values[rank - 1].item()
        found = both(beyond, x, mask, end, rank, outside.numel(), upper)
        assert found == (expected, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_fake_quantization_and_its_gradient(shape: tuple[int, ...], width: int, signed: bool) -> None:
    """Ties, values far outside, infinities and what is not a number among them."""
    x, qtype = values(shape), QType(width, signed)
    flat = x.view(-1)
    params = scale_zero_point(-1.3, 1.0, qtype)
    odd = [(n + 0.5) * params.scale for n in range(-3, 4)] + [1e30, -1e30, math.inf, -math.inf, math.nan]
    flat[: len(odd)] = torch.tensor(odd)[: flat.numel()]
    low, high = qtype.qmin - params.zero_point, qtype.qmax - params.zero_point
    grad = torch.randn(shape)
    for mask in masks(x):
        out, expected = both(fake, x, mask, params.inverse, params.scale, low, high)
        assert bits(out) == bits(expected)
        passed, other = both(inside, grad, out, mask, low * params.scale, high * params.scale)
        assert bits(passed) == bits(other)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_csr_rows(share: float) -> None:
    x = sparse(rows(40, 9))
    mask = Protected(torch.rand(40) < share, x.crow_indices())
    stored = x.values()
    assert both(look, stored, mask, 0.0, 0.2)[0] == both(look, stored, mask, 0.0, 0.2)[1]
    out, expected = both(fake, stored, mask, 20.0, 0.05, 0, 15)
    assert bits(out) == bits(expected)
    hidden = mask.rows.repeat_interleave(x.crow_indices().diff())
    assert torch.equal(out[hidden], stored[hidden])


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_learned_steps(shape: tuple[int, ...]) -> None:
    """The gradient of the values to the bit, the two sums up to the order of their terms."""
    x, grad = 3 * values(shape), torch.randn(shape)
    for mask in masks(x):
        found, expected = both(learned, grad, x, mask, 4.0, -5, 7)
        assert torch.equal(found[0], expected[0])
        assert found[1:] == pytest.approx(expected[1:], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 7, 16, 40])
def test_sampled_products(channels: int) -> None:
    x, left, right = sparse(rows(40, 9)), torch.randn(40, channels), torch.randn(9, channels)
    found, expected = both(sampled, x, left, right)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found, (left @ right.t())[x.to_dense() != 0], atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_counts_of_protected_values(share: float) -> None:
    x = sparse(rows(40, 9))
    hidden = torch.rand(40) < share
    assert Protected(hidden).count(torch.ones(40, 3, 2)) == 6 * int(hidden.sum())
    assert Protected(hidden, x.crow_indices()).count(x.values()) == int((x.to_dense()[hidden] != 0).sum())


@pytest.mark.parametrize("observer", ["abs", "mom", "per"])
@pytest.mark.parametrize("gradient", ["ste", "gc"])
def test_a_quantizer_in_training(observer: str, gradient: str) -> None:
    """Ranges, values and gradients of several steps."""

    def steps() -> tuple[tuple[float, float], list[list[int]]]:
        quantizer, found = fresh(observer, 4), []
        quantizer.gradient = gradient
        for seed in range(4):
            torch.manual_seed(seed)
            x = torch.randn(300, 8, requires_grad=True)
            out = quantizer(x, torch.rand(300) < 0.2)
            out.backward(torch.randn(300, 8))
            found += [bits(out), bits(x.grad)]
        return quantizer.observer.range(), found

    first, second = both(steps)
    assert first == second


def test_other_types_and_strides_are_left_to_torch() -> None:
    for x in (torch.randn(6, 4).t(), torch.randn(6, 4, dtype=torch.float64)):
        assert not passes.in_c(x, None)
        assert torch.equal(fake(x, None, 4.0, 0.25, -8, 7), (x * 4).round().clamp(-8, 7) * 0.25)
