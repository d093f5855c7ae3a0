"""Powers of two and their sums: the sets by hand, the nearest level, both signs, gradients, protection, CSR rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import rows, sparse

from dqviz.quant import QType, levels
from dqviz.quant.additive import additive
from dqviz.quant.levels import LevelQuantizer, Levels, nearest
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.powers import MOST, powers

both = pytest.mark.parametrize("kind", [powers, additive])
KINDS = st.sampled_from([powers, additive])


def seen(kind: Levels, lo: float, hi: float, bits: int = 4) -> LevelQuantizer:
    """In evaluation, of the range [lo, hi]."""
    quantizer = LevelQuantizer(QType(bits), RunningMinMax(), kind)
    quantizer.observer.observe(torch.tensor([lo, hi]))
    return quantizer.eval()


def test_levels_of_4_bits_by_hand() -> None:
    """One bit of the four is the sign."""
    assert powers(3) == (0, 1, 2, 4, 8, 16, 32, 64)
    assert additive(3) == (0, 1, 2, 3, 4, 6, 8, 10)
    assert additive(4) == (0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48)  # {0,32,8,2} + {0,16,4,1}, by hand
    assert powers(4)[-2:] == (2**13, 2**14)


@pytest.mark.parametrize("bits", range(1, 9))
def test_there_are_as_many_levels_as_codes(bits: int) -> None:
    assert len(additive(bits)) == 2**bits
    assert len(powers(bits)) == min(2**bits, MOST + 1)


def test_values_by_hand() -> None:
    x = torch.tensor([-1.0, 0.8, 0.74, 0.3, -0.2, 0.01, 0.005, 3.0])
    expected = torch.tensor([-1.0, 1.0, 0.5, 0.25, -0.25, 1 / 64, 0.0, 1.0])
    assert torch.equal(seen(powers, -1, 0.5)(x), expected)
    x = torch.tensor([-10.0, 9.1, 8.9, 7.1, 5.5, -4.5, 2.4, 0.4])
    assert torch.equal(seen(additive, -10, 3)(x), torch.tensor([-10.0, 10.0, 8.0, 8.0, 6.0, -4.0, 2.0, 0.0]))


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_end_of_the_range_is_a_level(bits: int) -> None:
    """At 8 bits there are 24 powers, the last 2^23 times the first."""
    quantizer = seen(powers, -0.3, 0.2, bits)
    assert quantizer.range() == pytest.approx((-0.3, 0.3))
    assert quantizer(torch.tensor([0.3, 0.5, -0.16])).tolist() == pytest.approx([0.3, 0.3, -0.15 if bits > 2 else -0.3])


def test_without_negative_values_all_bits_are_levels() -> None:
    quantizer = seen(additive, 0, 48)
    assert quantizer(torch.tensor([33.2, 17.5, -5.0])).tolist() == [33.0, 18.0, 0.0]
    grid = quantizer.grid(torch.zeros(1))
    assert grid is not None
    assert (grid.low.item(), grid.high.item(), grid.step.item(), grid.bits.item()) == (0, 48, 1, 4)
    assert quantizer.range() == (0.0, 48.0)


@given(KINDS, st.integers(1, 8), st.booleans(), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_value_takes_the_nearest_level(kind: Levels, bits: int, two_sided: bool, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(200) if two_sided else torch.rand(200)
    quantizer = seen(kind, x.min().item() if two_sided else 0.0, x.max().item(), bits)
    out = quantizer(x).double()
    size = torch.tensor(quantizer.numbers()).double() * quantizer.qparams().scale
    known = torch.cat([-size, size]) if two_sided else size
    best = (x.double()[:, None] - known).abs().amin(1)
    assert ((out - x.double()).abs() <= best + 1e-6 * x.abs().max()).all()
    assert torch.equal(out, known[(out[:, None] - known).abs().argmin(1)].float().double())


@both
def test_the_table_is_the_search(kind: Levels, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = kind(4)
    x = torch.cat([torch.rand(500) * numbers[-1] * 1.1, torch.tensor(numbers).float(), levels.borders(numbers).float()])
    looked_up = nearest(x, numbers)
    monkeypatch.setattr(levels, "LARGEST_TABLE", 0)
    assert torch.equal(nearest(x, numbers), looked_up)


def test_gradients_end_at_the_range() -> None:
    x = torch.tensor([[-1.5, -1.0, 0.2], [1.0, 1.1, -0.3]], requires_grad=True)
    seen(additive, -1, 1)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 1, 1], [1, 0, 1]]
    x.grad = None
    seen(additive, 0, 1)(x, torch.tensor([False, True])).sum().backward()
    assert x.grad.tolist() == [[0, 0, 1], [1, 1, 1]]


@both
def test_protected_rows_stay_and_are_not_observed(kind: Levels) -> None:
    quantizer = LevelQuantizer(QType(4), RunningMinMax(), kind)
    x, mask = torch.tensor([[100.0, -3.3], [1.0, 0.3]]), torch.tensor([True, False])
    out = quantizer(x, mask)
    assert torch.equal(out[0], x[0])
    assert quantizer.observer.range() == (0.0, 1.0)


@both
def test_csr_rows_are_quantized_as_dense_ones(kind: Levels) -> None:
    x = rows()
    one, other = (LevelQuantizer(QType(4), RunningMinMax(), kind) for _ in range(2))
    assert torch.equal(one(sparse(x)).to_dense(), other(x))


@both
def test_what_is_no_number_stays_visible(kind: Levels) -> None:
    out = seen(kind, -1, 1)(torch.tensor([float("nan"), 0.5, float("inf"), float("-inf")]))
    assert out.isnan().tolist() == [True, False, False, False]
    assert out[2:].tolist() == [1, -1]


@both
def test_zeros_alone_are_zeros(kind: Levels) -> None:
    quantizer = LevelQuantizer(QType(2), RunningMinMax(), kind)
    assert torch.equal(quantizer(torch.zeros(3, 2)), torch.zeros(3, 2))
    assert quantizer.qparams().scale == 1
