"""Ranges of rows and of columns: golden values, independence, rules of observing, CSR rows, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from quant_examples import rows, sparse
from torch import Tensor

from dqviz.quant import QType
from dqviz.quant.columnrange import ColumnRange
from dqviz.quant.functional import QParams, fake_quantize, scale_zero_point
from dqviz.quant.observers import Percentile
from dqviz.quant.rowrange import RowRange

BITS = st.sampled_from([2, 4, 8])


def column(channels: int, bits: int = 4, momentum: float = 0.0, share: float = 0.0) -> ColumnRange:
    quantizer = ColumnRange(QType(bits), momentum, clipped=share)
    quantizer.fit(channels)
    return quantizer


def plain(x: Tensor, qtype: QType) -> Tensor:
    """x with the range of all its values, by the per-tensor quantizer."""
    return fake_quantize(x, scale_zero_point(x.min().item(), x.max().item(), qtype), qtype)


def test_rows_by_hand() -> None:
    x = torch.tensor([[0.0, 15.0, 7.3], [0.0, 1.5, 0.76], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[0.0, 15.0, 7.0], [0.0, 1.5, 0.8], [0.0, 0.0, 0.0]])
    assert torch.allclose(RowRange(QType(4, signed=False))(x), expected)


@given(BITS, st.booleans(), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_row_is_a_tensor_of_its_own(bits: int, signed: bool, seed: int) -> None:
    torch.manual_seed(seed)
    x, qtype = torch.randn(6, 7), QType(bits, signed)
    assert torch.equal(RowRange(qtype)(x), torch.cat([plain(row[None], qtype) for row in x]))


@given(st.integers(0, 5), st.floats(1e-3, 1e3), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_multiplying_a_row_changes_no_other_row(row: int, factor: float, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(6, 7)
    larger = x.clone()
    larger[row] *= factor
    quantizer, others = RowRange(QType(4)), torch.arange(6) != row
    assert torch.equal(quantizer(larger)[others], quantizer(x)[others])


@given(st.integers(0, 6), st.floats(1e-3, 1e3), st.sampled_from([0.0, 0.2]), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_multiplying_a_column_changes_no_other_column(index: int, factor: float, share: float, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(20, 7)
    larger = x.clone()
    larger[:, index] *= factor
    others = torch.arange(7) != index
    assert torch.equal(column(7, share=share)(larger)[:, others], column(7, share=share)(x)[:, others])


@given(BITS, st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_column_is_a_tensor_of_its_own(bits: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(6, 7)
    expected = torch.cat([plain(one[:, None], QType(bits)) for one in x.t()], dim=1)
    assert torch.equal(column(7, bits)(x), expected)


@given(st.floats(0.0, 0.4), st.floats(0.0, 0.9), st.integers(0, 10_000))
@example(0.39999999999999997, 0.5625, 1)  # of 20 values the 7th; in single precision it would be the 8th
@settings(max_examples=60, deadline=None)
def test_percentiles_of_columns_are_those_of_the_observer(share: float, zeros: float, seed: int) -> None:
    """Zeros do not count, one-sided columns and columns of zeros included; the second step can only widen."""
    torch.manual_seed(seed)
    quantizer, observers = column(4, share=share), [Percentile(share) for _ in range(4)]
    for _ in range(2):
        x = torch.randn(50, 4) * (torch.rand(50, 4) > zeros)
        x[:, 1], x[:, 2] = x[:, 1].abs(), 0.0
        quantizer(x)
        for values, observer in zip(x.t(), observers, strict=True):
            observer.observe(values.contiguous())
    assert [*zip(quantizer.lo.tolist(), quantizer.hi.tolist(), strict=True)] == [one.range() for one in observers]


def test_columns_follow_with_momentum_and_keep_their_ranges_in_evaluation() -> None:
    quantizer = column(2, momentum=0.1)
    quantizer(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
    quantizer(torch.tensor([[2.0, -1.0], [5.0, 4.0]]))
    assert torch.allclose(quantizer.hi, torch.tensor([3.2, 4.0]))
    assert torch.allclose(quantizer.lo, torch.tensor([0.0, -1.9]))
    before = quantizer.range()
    quantizer.eval()(torch.full((2, 2), 99.0))
    assert quantizer.range() == before == (pytest.approx(-1.9), 4.0)


def test_gradients_of_columns_end_at_their_ranges_and_of_rows_nowhere() -> None:
    quantizer = column(2)
    quantizer(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
    x = torch.tensor([[5.0, 4.0], [-1.0, -3.0], [9.0, 9.0]], requires_grad=True)
    quantizer.eval()(x, torch.tensor([False, False, True])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 1], [0, 0], [1, 1]]
    x.grad = None
    RowRange(QType(2))(x).sum().backward()
    assert (x.grad == 1).all()


def test_protected_rows_are_not_seen() -> None:
    quantizer = column(2)
    x, mask = torch.tensor([[50.0, -60.0], [1.0, 2.0]]), torch.tensor([True, False])
    assert torch.equal(quantizer(x, mask)[0], x[0])
    assert quantizer.range() == (0.0, 2.0)


@pytest.mark.parametrize("make", [lambda: column(5), lambda: RowRange(QType(4))])
def test_csr_rows_are_quantized_as_dense_ones(make: type) -> None:
    x = rows()
    assert torch.equal(make()(sparse(x)).to_dense(), make()(x))


def test_heads_are_columns_side_by_side() -> None:
    """Of rows [rows, heads, channels], as GAT sums them."""
    x = torch.randn(9, 3, 4)
    assert torch.equal(column(12)(x), column(12)(x.reshape(9, 12)).view(9, 3, 4))


def test_codes_of_columns_are_those_of_their_own_steps() -> None:
    quantizer = column(2, bits=8)
    x = torch.tensor([[255.0, 2.55], [100.2, 1.002]])
    out = quantizer(x)
    grid = quantizer.grid(x)
    assert grid is not None
    assert grid.step.flatten().tolist() == pytest.approx([1.0, 0.01])
    assert out.flatten().tolist() == pytest.approx([255.0, 2.55, 100.0, 1.0])
    assert quantizer.mean_bits(x) == 8
    assert isinstance(quantizer.qparams(), QParams)
