"""Ranges that are means over nodes, rows of different bits, and bits under a budget: all by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqviz.data.task import csr
from dqviz.quant import QType
from dqviz.quant.budget import allot
from dqviz.quant.functional import scale_zero_point
from dqviz.quant.mean_range import ChosenBits, MeanRange, RowBits
from dqviz.quant.rows import row_ends, rows_grid
from dqviz.quant.scene import Scene

X = torch.tensor([[1.0, 3.0, -1.0], [2.0, 5.0, 0.5], [-6.0, -1.0, 0.0]])
EDGES = torch.tensor([[0, 1, 2, 0], [0, 2, 1, 2]])  # in-degrees 0, 1, 2: a loop does not count


def scene() -> Scene:
    found = Scene()
    found.show(3, EDGES)
    return found


def sparse(x: torch.Tensor) -> torch.Tensor:
    row, column = (np.ascontiguousarray(place) for place in x.numpy().nonzero())
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(x)))])
    return csr(ptr, column, x.numpy()[row, column], tuple(x.shape))


def test_ends_of_rows_hold_zero_dense_and_sparse() -> None:
    lo, hi = row_ends(X, None)
    assert lo.tolist() == [-1, 0, -6]
    assert hi.tolist() == [3, 5, 0]
    stored = sparse(X)
    found = row_ends(stored.values(), stored.crow_indices())
    assert torch.equal(found[0], lo)
    assert torch.equal(found[1], hi)
    assert torch.equal(row_ends(X[:, :, None], None)[0], lo)


def test_range_is_the_mean_over_nodes() -> None:
    """Lows -1, 0, -6; highs 3, 5, 0. A second step moves by a tenth. A protected node is not counted."""
    quantizer = MeanRange(QType(8), "ste", 0.1)
    quantizer(X)
    assert quantizer.range() == pytest.approx((-7 / 3, 8 / 3))
    quantizer(torch.zeros(3, 3))
    assert quantizer.range() == pytest.approx((-7 / 3 * 0.9, 8 / 3 * 0.9))
    other = MeanRange(QType(8), "ste", 0.1)
    out = other(X, torch.tensor([False, False, True]))
    assert other.range() == (-0.5, 4.0)
    assert torch.equal(out[2], X[2])
    other(X, torch.ones(3, dtype=torch.bool))
    assert other.range() == (-0.5, 4.0)


def test_values_beyond_the_mean_are_clipped() -> None:
    quantizer = MeanRange(QType(8), "ste", 0.1).train()
    quantizer(X)
    quantizer.eval()
    assert quantizer(X).max().item() == pytest.approx(8 / 3, abs=0.02)


@given(lo=st.floats(-9, 0, width=32), hi=st.floats(0, 9, width=32), bits=st.sampled_from([1, 2, 4, 8, 16]),
       signed=st.booleans())  # fmt: skip
def test_grid_of_a_row_is_that_of_a_tensor(lo: float, hi: float, bits: int, signed: bool) -> None:
    grid = rows_grid(*(torch.tensor([value]) for value in (lo, hi, float(bits))), signed)
    params, qtype = scale_zero_point(lo, hi, QType(bits, signed)), QType(bits, signed)
    assert grid.step.item() == pytest.approx(params.scale)
    assert grid.zero.item() == params.zero_point
    assert (grid.low.item(), grid.high.item()) == (qtype.qmin, qtype.qmax)


def rows(widths: list[float], own: bool = True) -> RowBits:
    table = torch.tensor(widths)
    return RowBits(QType(8), "ste", 1.0, scene(), lambda degree: table[degree], own).eval()


def test_rows_of_1_2_16_and_32_bits() -> None:
    """Own ranges. Node 0: -1 to 3 in 1 bit: step 4, codes -1 and 0, zero -1 + round(1 / 4): 0 and 4 less 4 x 1 = 0, 4.
    Node 1: 0 to 5 in 2 bits: 0, 5/3, 10/3, 5. Node 2: -6 to 0."""
    out = rows([1, 2, 32])(X)
    assert out[0].tolist() == [0, 4, 0]
    assert out[1].tolist() == pytest.approx([5 / 3, 5, 0])
    assert torch.equal(out[2], X[2])
    fine = rows([16, 16, 16])
    assert (fine(X) - X).abs().max() <= 6 / 65535
    assert fine.mean_bits(X) == 16
    assert rows([1, 2, 32]).mean_bits(X) == pytest.approx(35 / 3)


def test_sparse_rows_are_quantized_as_dense_ones() -> None:
    for own in (True, False):
        quantizer = rows([2, 4, 8], own)
        quantizer.train()(X)
        quantizer.eval()
        assert torch.equal(quantizer(sparse(X)).to_dense(), quantizer(X))
        assert torch.equal(quantizer.grid(sparse(X)).step, quantizer.grid(X).step)


def test_an_edge_has_the_bits_of_its_target_and_a_graph_those_of_in_degree_0() -> None:
    quantizer = rows([2, 4, 8])
    quantizer(torch.ones(4, 2), None, EDGES[1])
    assert quantizer.grid(torch.ones(4, 2)).bits.flatten().tolist() == [2, 8, 4, 8]
    quantizer(torch.ones(4, 2))
    assert quantizer.grid(torch.ones(4, 2)).bits.flatten().tolist() == [2] * 4


def test_gradient_passes_straight_through_rows() -> None:
    x = X.clone().requires_grad_()
    rows([1, 2, 4])(x).sum().backward()
    assert x.grad.tolist() == torch.ones(3, 3).tolist()


def test_budget_by_hand() -> None:
    """Widths 2, 4, 8; 10 values each, 60 bits over the least. Group 0 gains 8 for 20 bits, then 1 for 40; group 1
    gains 3 for 20 or 9 for 60. First 0 to 4 bits (0.4 a bit), then 40 bits are left: 1 to 4 bits (0.15; to 8 it does
    not fit), then nothing that fits gains: 0 to 8 bits would take 40 of 20."""
    errors = np.array([[10.0, 2.0, 1.0], [10.0, 7.0, 1.0]])
    assert allot(errors, np.array([10.0, 10.0]), (2, 4, 8), 5.0) == [4, 4]
    assert allot(errors, np.array([10.0, 10.0]), (2, 4, 8), 6.0) == [4, 8]
    assert allot(errors, np.array([10.0, 10.0]), (2, 4, 8), 2.0) == [2, 2]
    assert allot(errors, np.array([10.0, 10.0]), (2, 4, 8), 8.0) == [8, 8]
    assert allot(errors, np.array([10.0, 0.0]), (2, 4, 8), 8.0) == [8, 2]


def test_what_helps_nothing_is_not_paid_for() -> None:
    assert allot(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([5.0, 5.0]), (2, 4), 4.0) == [2, 4]


@given(errors=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6),
       budget=st.floats(2, 8), seed=st.integers(0, 99))  # fmt: skip
def test_a_budget_is_kept(errors: list[list[float]], budget: float, seed: int) -> None:
    values = np.random.default_rng(seed).integers(1, 50, len(errors)).astype(float)
    found = np.array(allot(np.array(errors), values, (2, 4, 8), budget))
    assert (found * values).sum() / values.sum() <= budget + 1e-6


def chosen() -> ChosenBits:
    return ChosenBits(QType(8), "ste", 0.1, scene(), (2, 4, 8), True).eval()


def test_errors_are_measured_by_bin_of_in_degree() -> None:
    """In-degrees 0 and 1 share a bin, 2 is in the next. At 2 bits node 1 errs by 1/3 and 0.5 (0, 5/3, 10/3, 5)."""
    quantizer = chosen()
    quantizer.state = "observe"
    quantizer(X)
    assert quantizer.values.tolist() == [6, 3, 0, 0, 0]
    assert quantizer.energy == pytest.approx(X.square().sum().item())
    for column, width in enumerate((2, 4, 8)):
        alone = rows([width] * 3)
        errors = (alone(X) - X).square().sum(1)
        assert quantizer.errors[:2, column].tolist() == pytest.approx([errors[:2].sum().item(), errors[2].item()])
    assert (rows([2, 2, 2])(X) - X)[1].tolist() == pytest.approx([-1 / 3, 0, -0.5])


def test_edges_and_the_data_sets_own_features_are_not_measured() -> None:
    quantizer = chosen()
    quantizer.state = "observe"
    quantizer(torch.ones(4, 2), None, EDGES[1])
    quantizer.scene.enter(X)
    quantizer(X)
    assert quantizer.energy == 0
    assert quantizer.range() != (0, 0)
    quantizer(X.clone())
    assert quantizer.energy > 0


def test_a_table_is_looked_up_by_in_degree() -> None:
    quantizer = chosen()
    quantizer.table.copy_(torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0]))
    degree = torch.tensor([0, 1, 2, 3, 4, 7, 8, 15, 16, 999])
    assert quantizer.looked_up(degree).tolist() == [2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
