"""Gradient error by in-degree, worked out by hand on one linear layer with two inputs and one output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from dqviz.analysis.bins import degree_bins
from dqviz.analysis.gradients import WeightGradient, compared, gradient_table
from dqviz.columns import TABLES

# Five nodes of in-degree 1 and five of in-degree 4: two bins, because a bin holds at least five nodes.
DEGREE = np.array([1, 4] * 5)
X = np.array([[1.0, 0.0], [0.0, 2.0]] * 5, dtype=np.float32)
DY = np.array([[1.0], [0.5]] * 5, dtype=np.float32)
TWIN = WeightGradient(("0/weight", 0, "", "weight"), X, DY, np.ones((1, 2), dtype=np.float32))


def test_contributions_by_hand_and_that_they_add_up() -> None:
    first, second = TWIN.of_bins(degree_bins(DEGREE))
    assert first.tolist() == [[5.0, 0.0]]  # five times 1 * (1, 0)
    assert second.tolist() == [[0.0, 5.0]]  # five times 0.5 * (0, 2)
    np.testing.assert_allclose(first + second, DY.T @ X)


def test_sparse_rows_give_the_same() -> None:
    thin = replace(TWIN, x=sparse.csr_array(X))
    for one, other in zip(thin.of_bins(degree_bins(DEGREE)), TWIN.of_bins(degree_bins(DEGREE)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_whose_quantizer_stops_the_gradient_gets_none() -> None:
    stopped = replace(TWIN, passed=np.array([[0.0, 1.0]], dtype=np.float32))
    assert [part.tolist() for part in stopped.of_bins(degree_bins(DEGREE))] == [[[0.0, 0.0]], [[0.0, 5.0]]]


def test_comparison_by_hand() -> None:
    # (3, 4) against (5, 0): cosine 15 / 25, difference (-2, 4), lengths 5 and 5
    assert compared(np.array([[3.0, 4.0]]), np.array([[5.0, 0.0]])) == pytest.approx((0.6, np.sqrt(20) / 5, 1.0))
    assert compared(np.zeros((1, 2)), np.ones((1, 2)))[1:] == pytest.approx((1.0, 0.0))
    assert np.isnan(compared(np.ones((1, 2)), np.zeros((1, 2)))).all()


def test_table_by_hand() -> None:
    """The quantized rows of in-degree 4 are (1, 2) instead of (0, 2): the gradient turns from (0, 5) to (2.5, 5)."""
    moved = X.copy()
    moved[1::2, 0] = 1.0
    table = gradient_table(DEGREE, [TWIN], {"own": [[replace(TWIN, x=moved)]]})
    assert list(table.columns) == [column.value for column in TABLES["gradients"]]
    assert table[["rule", "key", "degree_lo", "nodes"]].to_numpy().tolist() == [
        ["own", "0/weight", 1, 5], ["own", "0/weight", 4, 5]]  # fmt: skip
    assert table["gradient_cosine"].tolist() == pytest.approx([1.0, 5 / np.hypot(2.5, 5)])
    assert table["gradient_error"].tolist() == pytest.approx([0.0, 0.5])
    assert table["gradient_norm"].tolist() == pytest.approx([1.0, np.hypot(2.5, 5) / 5])


def test_passes_are_averaged_and_what_is_undefined_is_left_out() -> None:
    twice = replace(TWIN, dy=2 * DY)
    nothing = replace(TWIN, dy=0 * DY)
    table = gradient_table(DEGREE, [TWIN], {"own": [[TWIN], [twice], [nothing]]})
    assert table["gradient_error"].tolist() == pytest.approx([2 / 3] * 2)  # 0, 1 and 1
    assert table["gradient_cosine"].tolist() == pytest.approx([1.0] * 2)  # undefined for the third
    assert gradient_table(np.zeros(0), [], {}).empty
