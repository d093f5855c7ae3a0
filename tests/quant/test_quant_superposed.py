"""Levels that a site chooses: splits by hand, the choice, what is saved."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqviz.quant.observers import RunningMinMax
from dqviz.quant.qtype import QType
from dqviz.quant.superposed import (
    BATCHES,
    MOST_POWERS,
    SAMPLE,
    SuperposedQuantizer,
    exponents,
    splits,
    squared_error,
    sums,
)


def site(bits: int = 4) -> SuperposedQuantizer:
    return SuperposedQuantizer(QType(bits), RunningMinMax()).train()


def long_tailed(count: int = 4000, seed: int = 0) -> torch.Tensor:
    """Most values are far smaller than the largest."""
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)).mul(2.5).exp()


def test_splits_and_levels_by_hand() -> None:
    assert splits(1) == ((1,),)
    assert splits(3) == ((1, 1, 1), (2, 1), (3,))
    assert splits(4) == ((1, 1, 1, 1), (2, 1, 1), (2, 2), (3, 1), (4,))
    assert exponents((2, 2)) == [[0, 2, 4], [1, 3, 5]]
    assert exponents((3, 1)) == [[0, 2, 3, 4, 5, 6, 7], [1]]
    assert sums((1, 1, 1)) == tuple(range(8))
    assert sums((2, 1)) == (0, 1, 2, 4, 5, 6, 8, 12)  # eighths: {0, 8, 2, 1} + {0, 4}
    assert sums((3,)) == (0, 1, 2, 4, 8, 16, 32, 64)


def test_of_sixteen_bits_there_is_one_split() -> None:
    assert splits(16) == ((1,) * 16,)
    x = torch.rand(100)
    quantizer = site(16)
    assert (quantizer(x) - x).abs().max() < 1e-4


def test_terms_of_two_bits_are_those_of_apot() -> None:
    from dqviz.quant.additive import additive

    assert all(sums((2,) * (bits // 2)) == additive(bits) for bits in (2, 4, 6))


@pytest.mark.parametrize("bits", range(1, 9))
def test_there_are_as_many_levels_as_codes(bits: int) -> None:
    assert splits(bits)[0] == (1,) * bits
    for split in splits(bits):
        assert sum(split) == bits
        assert sum(2**width - 1 for width in split) <= MOST_POWERS
        assert len(set(sums(split))) == 2**bits


@pytest.mark.parametrize(("x", "split"), [(torch.linspace(0, 7, 801), (1, 1, 1)), (2.0 ** -torch.arange(7), (3,))])
def test_even_values_choose_even_levels_and_powers_choose_powers(x: torch.Tensor, split: tuple[int, ...]) -> None:
    """Values that lie on the levels have no error at all."""
    quantizer = site(3)
    out = quantizer(x)
    assert quantizer.split == split
    assert (out - x).abs().max() <= (0.5 if split[0] == 1 else 1e-7)


@given(st.integers(1, 6), st.booleans(), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_other_split_has_a_smaller_error(bits: int, two_sided: bool, seed: int) -> None:
    values = long_tailed(300, seed)
    x = values * torch.where(torch.arange(300) % 2 == 0, 1, -1) if two_sided else values
    quantizer = site(bits)
    quantizer(x)
    largest = float(x.abs().max())
    found = {split: squared_error(x.abs(), sums(split), largest) for split in quantizer.candidates}
    assert sum(quantizer.split) == max(bits - two_sided, 1)
    assert found[quantizer.split] <= min(found.values()) * (1 + 1e-5)


def test_the_first_batches_decide_together_and_later_ones_do_not() -> None:
    quantizer, even, long = site(3), torch.linspace(0, 1, 801), long_tailed()
    quantizer(even)
    for _ in range(BATCHES - 1):
        quantizer(long)
    chosen = quantizer.split
    assert chosen != (1, 1, 1), "nine of ten batches have a long tail"
    for _ in range(2 * BATCHES):
        quantizer(even)
    assert quantizer.split == chosen
    assert int(quantizer.batches) == BATCHES


def test_a_sign_that_comes_later_asks_anew() -> None:
    quantizer = site(4)
    for _ in range(BATCHES):
        quantizer(long_tailed())
    assert sum(quantizer.split) == 4
    quantizer(torch.linspace(-1, 1, 801))
    assert (bool(quantizer.with_sign), int(quantizer.batches), sum(quantizer.split)) == (True, 1, 3)


def test_the_choice_is_saved_with_the_model() -> None:
    quantizer, again, x = site(4), site(4).eval(), long_tailed()
    quantizer(x)
    buffer = io.BytesIO()
    torch.save(quantizer.state_dict(), buffer)
    buffer.seek(0)
    again.load_state_dict(torch.load(buffer))
    assert again.split == quantizer.split != splits(4)[0]
    assert torch.equal(again(x), quantizer.eval()(x))


def test_evaluation_and_zeros_choose_nothing_and_protected_values_do_not_count() -> None:
    quantizer, x = site(3), long_tailed().reshape(-1, 8)
    quantizer(torch.zeros(4, 8))
    quantizer.eval()(x)
    assert (int(quantizer.batches), quantizer.split) == (0, (1, 1, 1))
    masked = torch.zeros(len(x), dtype=torch.bool)
    masked[x.amax(1) > 3] = True
    quantizer, other = site(3), site(3)
    quantizer(x, masked)
    other.observe(x.masked_fill(masked[:, None], 0.0), None, None)
    assert torch.equal(quantizer.errors, other.errors)


def test_a_large_batch_is_sampled() -> None:
    quantizer, whole = site(4), site(4)
    x = long_tailed(3 * SAMPLE)
    x[0] = x.max()  # both have seen the same range
    quantizer(x)
    whole(x[::3])
    torch.testing.assert_close(quantizer.errors, whole.errors)
