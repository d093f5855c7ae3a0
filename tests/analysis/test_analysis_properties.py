"""What must hold for any values: energies add up, order does not matter, bins partition, known exponents return."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dqviz.analysis import analyse, student
from dqviz.analysis.bins import degree_bins, degree_groups
from dqviz.analysis.bootstrap import mean_interval, slope_interval
from dqviz.analysis.tables import QUANTILES, quantiles, quantiles_of_cells
from tests.analysis.analysis_examples import view

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=25, deadline=None)


def values(seed: int, rows: int, channels: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_t(3, (rows, channels)) * 10 ** rng.uniform(-3, 3)).astype(np.float32)


@FEW
@given(seed=SEEDS, bits=st.sampled_from([2, 3, 4, 8, 16]), rows=st.integers(1, 60), cut=st.floats(0.1, 1.5))
def test_rounding_and_clipping_are_the_whole_error(seed: int, bits: int, rows: int, cut: float) -> None:
    x = values(seed, rows)
    one = view(x, bits, lo=cut * float(x.min()), hi=cut * float(x.max()))
    table = analyse([one], np.full(rows, 2))["degree"]
    total = np.square((one.xq - one.x).astype(np.float64)).mean()
    assert (table["mse_rounding"] + table["mse_clipping"]).tolist() == pytest.approx(table["mse"].tolist(), rel=1e-9)
    assert np.average(table["mse"], weights=table["nodes"]) == pytest.approx(total, rel=1e-5, abs=1e-30)
    # inside the range no value is further from its level than half a step
    assert (table["mse_rounding"] <= 0.2501 * one.scale**2 + 1e-12 * np.square(x).max()).all()


@FEW
@given(seed=SEEDS, rows=st.integers(5, 80))
def test_the_order_of_the_nodes_decides_nothing(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    degree, order = rng.integers(0, 30, rows), rng.permutation(rows)
    x = values(seed, rows)
    a = view(x, 4, "0/aggregate", lo=-1, hi=1, reference=x * 1.1)
    b = view(x[order], 4, "0/aggregate", lo=-1, hi=1, reference=(x * 1.1)[order])
    first, second = analyse([a], degree), analyse([b], degree[order])
    for name in ("degree", "growth", "aggregation", "histograms", "quantiles", "ranges"):
        pd.testing.assert_frame_equal(first[name], second[name], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(first["node_errors"].to_numpy()[order], second["node_errors"].to_numpy(), rtol=1e-5)


@FEW
@given(seed=SEEDS, rows=st.integers(2, 60), bad=st.booleans())
def test_a_row_that_is_sent_often_counts_as_often(seed: int, rows: int, bad: bool) -> None:
    """A view of nodes with how often each is sent tells what one of all messages does (each named by its sender)."""
    rng = np.random.default_rng(seed)
    degree, often = rng.integers(0, 30, rows), rng.integers(0, 5, rows)
    often[0] = 1
    x = values(seed, rows)
    x[often == 0] *= 100  # never sent, so that no range nor count may hold it
    if bad:
        x[rng.integers(1, rows), 0] = np.nan
    sent = np.repeat(np.arange(rows), often)
    ends = {"lo": -1.0, "hi": 1.0}
    nodes = view(x, 4, "0/message", **ends, reference=x * 1.1, often=often)
    messages = view(x[sent], 4, "0/message", **ends, reference=(x * 1.1)[sent], node=sent)
    first, second = analyse([nodes], degree), analyse([messages], degree)
    for name in ("degree", "growth", "histograms", "ranges"):
        pd.testing.assert_frame_equal(first[name], second[name], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(first["node_errors"], second["node_errors"], rtol=1e-5)
    low, high = first["quantiles"]["value"].min(), first["quantiles"]["value"].max()
    assert (low, high) == (second["quantiles"]["value"].min(), second["quantiles"]["value"].max())


@FEW
@given(seed=SEEDS, rows=st.integers(1, 40))
def test_quantiles_of_rows_that_stand_for_several(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    x, often, some = values(seed, rows), rng.integers(0, 4, rows), rng.random(rows) < 0.7
    some[0], often[0] = True, 2
    listed = np.repeat(x[some], often[some], axis=0).ravel()
    assert quantiles(x, often, some).tolist() == np.quantile(listed, QUANTILES, method="inverted_cdf").tolist()


@FEW
@given(seed=SEEDS, edges=st.integers(1, 300))
def test_edges_in_any_order_give_the_same_nodes(seed: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    node, x = rng.integers(0, 20, edges), values(seed, edges)
    order = rng.permutation(edges)
    degree = np.bincount(node, minlength=20)
    tables = [analyse([view(x[o], 4, "0/message", lo=-1, hi=1, node=node[o])], degree)["node_errors"]
              for o in (np.arange(edges), order)]  # fmt: skip
    np.testing.assert_allclose(tables[0].to_numpy(), tables[1].to_numpy(), rtol=1e-2)


@FEW
@given(degrees=st.lists(st.integers(0, 5000), max_size=300))
@pytest.mark.parametrize("split", [degree_bins, degree_groups])
def test_bins_partition_the_nodes_with_five_each(split: object, degrees: list[int]) -> None:
    degree = np.array(degrees, dtype=np.int64)
    bins = split(degree)  # type: ignore[operator]
    assert bins.count.sum() == len(degree)
    assert (bins.count >= min(5, len(degree))).all()
    assert (bins.lo[1:] > bins.hi[:-1]).all()
    assert ((bins.lo[bins.index] <= degree) & (degree <= bins.hi[bins.index])).all()


@FEW
@given(seed=SEEDS, exponent=st.floats(-1.5, 1.5), size=st.sampled_from([60, 900, 3000]))
def test_a_known_power_law_is_found(seed: int, exponent: float, size: int) -> None:
    rng = np.random.default_rng(seed)
    degree = rng.integers(1, 200, size).astype(np.float64)
    noisy = np.log(degree) * exponent + 0.05 * rng.standard_normal(size)
    slope, low, high = slope_interval(np.log(degree), noisy, seed)
    assert slope == pytest.approx(exponent, abs=0.08)
    assert low <= slope <= high
    assert high - low < 0.2


def test_growth_from_values_with_zero_and_isolated_nodes() -> None:
    """Relative error = degree^0.5 / 100 by construction; in-degree 0 and exact nodes are left out."""
    rng = np.random.default_rng(0)
    degree = rng.integers(0, 100, 600)
    x = np.ones((600, 4), dtype=np.float32)
    error = np.sqrt(degree) / 100
    error[:50] = 0
    one = view(x, 4, "0/update", lo=0, hi=2)
    row = analyse([type(one)(**(vars(one) | {"xq": x * (1 + error[:, None]).astype(np.float32)}))], degree)[
        "growth"
    ].iloc[0]
    assert row["exponent"] == pytest.approx(0.5, abs=1e-3)
    assert row["nodes"] == ((degree > 0) & (np.arange(600) >= 50)).sum()


@FEW
@given(seed=SEEDS, size=st.integers(2, 200))
def test_intervals_hold_the_mean_and_do_not_move(seed: int, size: int) -> None:
    sample = values(seed, size, 1)[:, 0]
    mean, low, high = mean_interval(sample, seed)
    slack = 1e-9 * float(np.abs(sample).max())
    assert sample.min() - slack <= low <= high <= sample.max() + slack
    assert (mean, low, high) == mean_interval(sample[::-1], seed)
    assume(size >= 30)
    assert low <= mean <= high


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = [low <= 0 <= high for _ in range(300) for _, low, high in [mean_interval(rng.standard_normal(40))]]
    assert 0.88 <= np.mean(hits) <= 0.99


def test_blocks_give_the_interval_of_the_ordinary_bootstrap() -> None:
    sample = np.random.default_rng(0).exponential(size=20_000)
    _, low, high = mean_interval(sample)
    expected = 2 * 1.96 * sample.std() / np.sqrt(len(sample))
    assert high - low == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("seeds", [5, 10, 30])
def test_an_interval_over_seeds_excludes_the_truth_in_one_of_twenty_trials(seeds: int) -> None:
    _, low, high = student.row_intervals(np.random.default_rng(0).standard_normal((4000, seeds)))
    assert ((low > 0) | (high < 0)).mean() == pytest.approx(0.05, abs=0.01)


def test_rows_at_once_are_rows_one_by_one() -> None:
    rows = np.random.default_rng(0).standard_normal((4, 7))
    rows[1, 2] = np.nan
    rows[2] = np.nan
    found = np.array(student.row_intervals(rows)).T
    np.testing.assert_array_equal(found, [student.mean_interval(row) for row in rows])
    np.testing.assert_allclose(found[1], student.mean_interval(rows[1][np.isfinite(rows[1])]))
    assert np.isnan(found[2]).all()


def test_the_interval_over_three_seeds_by_hand() -> None:
    half = 4.30265 / 3**0.5
    assert student.mean_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2, 2 - half, 2 + half), abs=1e-5)


def test_two_seeds_have_no_interval_but_those_of_each() -> None:
    values = np.array([[0.02, 0.08], [0.3, np.nan], [0.3, 0.4]])
    low = np.array([[-0.18, -0.12], [0.1, np.nan], [0.1, 0.2]])
    mean, first, last = student.row_intervals(values)
    assert mean == pytest.approx([0.05, 0.3, 0.35])
    assert np.isnan([first, last]).all()
    _, first, last = student.row_intervals(values, (low, 2 * values - low))
    np.testing.assert_allclose(first, [-0.18, 0.1, 0.1])
    np.testing.assert_allclose(last, [0.28, 0.5, 0.6])


@FEW
@given(seed=SEEDS)
def test_quantiles_of_cells_are_off_by_one_cell_at_most(seed: int) -> None:
    x = values(seed, 2000, 1)[:, 0].astype(np.float64)
    counts, edges = np.histogram(x, 512, (x.min(), x.max()))
    found = quantiles_of_cells(counts, x.min(), x.max())
    place, ordered = np.asarray(QUANTILES) * len(x), np.sort(x)
    low = ordered[np.maximum(np.ceil(place).astype(int) - 1, 0)]
    high = ordered[np.minimum(np.floor(place).astype(int), len(x) - 1)]
    cell = (edges[1] - edges[0]) * 1.001
    assert ((low - cell <= found) & (found <= high + cell)).all()


def test_large_sites_take_the_histogram_within_its_bound() -> None:
    x = np.random.default_rng(0).standard_normal((120_000, 9)).astype(np.float32)
    table = analyse([view(x, 4)], np.full(len(x), 3))["quantiles"]
    found = table[table["group"] == -1]["value"].to_numpy()
    np.testing.assert_allclose(found, np.quantile(x, QUANTILES), atol=np.ptp(x) / 16_384)


@pytest.mark.slow
def test_the_pass_costs_little_more_than_reading_the_values() -> None:
    """170,000 nodes of 3 layers in 60 s is about 40 ns a value: here a value may cost 60 plain float64 squarings."""
    x = np.random.default_rng(0).standard_normal((40_000, 128)).astype(np.float32)
    one = view(x, 8, reference=x)
    degree = np.random.default_rng(1).integers(0, 60, len(x))
    analyse([one], degree)
    best = min(_seconds(lambda: analyse([one], degree)) for _ in range(3))
    plain = min(_seconds(lambda: np.square(x.astype(np.float64)).sum()) for _ in range(3))
    assert best < 60 * plain


def _seconds(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start
