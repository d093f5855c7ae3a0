"""Definitions of METHODS.md section 8, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from dqviz.analysis import SiteView, accuracy_by_degree, analyse, protection
from dqviz.analysis.accuracy import wilson
from dqviz.analysis.bins import degree_bins, degree_groups
from dqviz.analysis.tables import occupation, sqnr_db
from dqviz.analysis.view import OwnGrids
from dqviz.columns import TABLES, error_column
from dqviz.errors import BadInput
from dqviz.jobs.views import grid_fields
from dqviz.quant.grid import Grid
from tests.analysis.analysis_examples import untouched

# Step 1 on [0, 3] (2 bits). Node 0 rounds 0.4 and 1.4 down; node 1 clips 5 to 3; node 2 is exact; node 3 is zero.
X = np.array([[0.4, 1.4], [5.0, 3.0], [1.0, 2.0], [0.0, 0.0]], dtype=np.float32)
XQ = np.array([[0.0, 1.0], [3.0, 3.0], [1.0, 2.0], [0.0, 0.0]], dtype=np.float32)
DEGREE = np.array([1, 1, 1, 1])


def by_hand(**fields: object) -> SiteView:
    named = {"key": "1/mlp1/input", "layer": 1, "part": "mlp1", "site": "input", "order": 3, "bits": 2, "signed": False,
             "lo": 0.0, "hi": 3.0, "scale": 1.0, "zero_point": 0.0, "x": X, "xq": XQ}  # fmt: skip
    return SiteView(**(named | fields))  # type: ignore[arg-type]


def test_tables_have_exactly_the_columns_of_the_contract() -> None:
    tables = analyse([by_hand(), untouched(X)], DEGREE)
    for name in ("degree", "growth", "aggregation", "histograms", "quantiles", "ranges", "widths"):
        assert list(tables[name].columns) == [column.value for column in TABLES[name]]


def test_local_error_by_hand() -> None:
    row = analyse([by_hand()], DEGREE)["degree"].iloc[0]
    assert (row["key"], row["layer"], row["part"], row["site"], row["kind"]) == (
        "1/mlp1/input",
        1,
        "mlp1",
        "input",
        "local",
    )
    # squared errors: 0.16 + 0.16 rounding, 4 clipping, over 8 values; energy 2.12 + 34 + 5 + 0
    assert row["mse"] == pytest.approx((0.16 + 0.16 + 4) / 8, rel=1e-6)
    assert row["mse_rounding"] == pytest.approx(0.32 / 8, rel=1e-6)
    assert row["mse_clipping"] == pytest.approx(4 / 8)
    assert row["clipped_share"] == pytest.approx(1 / 8)
    assert row["sqnr_db"] == pytest.approx(10 * np.log10(41.12 / 4.32), rel=1e-6)
    assert row["rmse_scale"] == pytest.approx(np.sqrt(4.32 / 8), rel=1e-6)
    # relative errors of nodes 0, 1, 2; node 3 has no length and is left out
    relative = [np.sqrt(0.32 / 2.12), 2 / np.sqrt(34), 0.0]
    assert row["error_mean"] == pytest.approx(np.mean(relative), rel=1e-6)
    assert row["error_median"] == pytest.approx(np.median(relative), rel=1e-6)
    assert row["error_lo"] <= row["error_mean"] <= row["error_hi"]
    assert row["nodes"] == 4


def test_levels_that_are_not_evenly_spaced_are_not_counted() -> None:
    """Powers of two have few levels, at any distance: numbers counted in the finest step would call most unused."""
    row = analyse([by_hand(uneven=True)], DEGREE)["ranges"].iloc[0]
    assert np.isnan([row["levels_total"], row["levels_used"], row["entropy_bits"]]).all()
    assert row["clipped_share"] == analyse([by_hand()], DEGREE)["ranges"].iloc[0]["clipped_share"]


def test_accumulated_error_is_against_the_twin() -> None:
    twin = XQ.copy()
    twin[2] = [2.0, 0.0]
    table = analyse([by_hand(reference=twin)], DEGREE)["degree"].set_index("kind")
    # node 2: (1, 2) - (2, 0), 5 over 4; nodes 0 and 1 agree; node 3 has no length
    assert table.loc["accumulated", "error_mean"] == pytest.approx(np.sqrt(5 / 4) / 3, rel=1e-6)
    assert table.loc["accumulated", "mse"] == pytest.approx(5 / 8)
    assert np.isnan(table.loc["accumulated", "mse_clipping"])


def test_ranges_by_hand() -> None:
    row = analyse([by_hand()], DEGREE)["ranges"].iloc[0]
    # levels of XQ: 0 three times, 1 twice, 2 once, 3 twice
    share = np.array([3, 2, 1, 2]) / 8
    assert (row["levels_total"], row["levels_used"], row["order"]) == (4, 4, 3)
    assert row["entropy_bits"] == pytest.approx(-(share * np.log2(share)).sum())
    assert (row["values_min"], row["values_max"]) == (0.0, 5.0)


def test_edges_are_summed_at_their_target() -> None:
    errors = analyse([by_hand(node=np.array([0, 0, 1, 1]))], np.array([2, 2]))["node_errors"]
    assert errors[error_column("1/mlp1/input", "local")].tolist() == pytest.approx(
        [np.sqrt(4.32 / 36.12), 0.0], rel=5e-3
    )


def test_node_errors_keep_three_digits() -> None:
    errors = analyse([by_hand()], DEGREE)["node_errors"]["1/mlp1/input|local"]
    assert errors.tolist()[:3] == pytest.approx([0.389, 0.343, 0.0], rel=1e-6)
    assert np.isnan(errors[3])
    assert errors.dtype == np.float32


def test_weights_give_ranges_and_distributions_only() -> None:
    tables = analyse([by_hand(per_node=False)], DEGREE)
    assert tables["degree"].empty
    assert tables["node_errors"].shape == (4, 0)
    assert set(tables["histograms"]["group"]) == {-1}
    assert len(tables["quantiles"]) == 9


def test_an_untouched_site_has_no_local_error_and_no_infinity() -> None:
    tables = analyse([untouched(X, reference=X + 1)], DEGREE)
    row = tables["degree"].set_index("kind").loc["local"]
    assert (row["mse"], row["error_mean"]) == (0.0, 0.0)
    assert np.isnan(row["sqnr_db"])
    assert np.isnan(tables["ranges"]["levels_total"]).all()
    assert tables["degree"].set_index("kind").loc["accumulated", "mse"] == pytest.approx(1.0)


def test_nan_and_infinity_are_left_out_and_never_spread() -> None:
    x, xq = X.copy(), XQ.copy()
    x[2, 0], xq[1, 1] = np.nan, np.inf
    tables = analyse([by_hand(x=x, xq=xq), untouched(x)], DEGREE)
    for table in tables.values():
        assert not np.isinf(table.select_dtypes("number").to_numpy(dtype=np.float64)).any()
    row = tables["degree"].iloc[0]
    assert row["mse"] == pytest.approx(0.32 / 4, rel=1e-6)  # nodes 0 and 3 remain
    assert tables["ranges"]["values_max"].iloc[0] == 5.0


def test_nothing_finite_at_all() -> None:
    tables = analyse([by_hand(x=np.full_like(X, np.nan))], DEGREE)
    assert np.isnan(tables["ranges"]["mse"]).all()
    assert tables["quantiles"].empty


def test_no_nodes_and_no_views() -> None:
    empty = np.zeros((0, 2), dtype=np.float32)
    assert analyse([by_hand(x=empty, xq=empty)], np.zeros(0, dtype=int))["degree"].empty
    assert all(table.empty for table in analyse([], DEGREE).values())


def test_one_node() -> None:
    tables = analyse([by_hand(x=X[:1], xq=XQ[:1])], np.array([3]))
    row = tables["degree"].iloc[0]
    assert row["error_lo"] == row["error_mean"] == row["error_hi"]
    assert np.isnan(tables["growth"]["exponent"]).all()


def test_histogram_counts_every_value_once() -> None:
    table = analyse([by_hand()], DEGREE)["histograms"]
    every = table[table["group"] == -1]
    assert (len(every), every["count"].sum()) == (128, 8)
    assert every["left"].iloc[0] == 0.0
    assert every["right"].iloc[-1] == pytest.approx(5.0)


def test_quantiles_are_exact_on_small_sites() -> None:
    table = analyse([by_hand()], DEGREE)["quantiles"]
    every = table[table["group"] == -1].set_index("quantile")["value"]
    assert every[0.5] == pytest.approx(np.median(X))
    assert every[1.0] == 5.0


def test_aggregation_by_hand() -> None:
    # one channel at each in-degree: 0, 2 (mean 1, variance 2 over two nodes); the mean is freed of variance / n
    x = np.array([[0.0], [2.0]] * 3, dtype=np.float32)
    row = analyse([untouched(x)], np.full(6, 4))["aggregation"].iloc[0]
    assert row["spread"] == pytest.approx(np.sqrt(6 / 5))
    assert row["mean"] == pytest.approx(np.sqrt(1 - (6 / 5) / 6))
    assert (row["degree_lo"], row["degree_hi"], row["nodes"]) == (4, 4, 6)


def test_the_mean_does_not_grow_only_because_bins_get_small() -> None:
    rng = np.random.default_rng(0)
    degree = np.repeat([1, 30], [2000, 6])
    x = rng.standard_normal((2006, 64)).astype(np.float32)
    assert (
        analyse([untouched(x)], degree)["aggregation"]["mean"].max() < 0.2
    )  # uncorrected it would be 1/sqrt(6) = 0.41


def test_bins_by_hand() -> None:
    degree = np.array([0] * 6 + [1] * 5 + [2] * 3 + [3] * 4 + [20])
    bins = degree_bins(degree)
    assert list(zip(bins.lo.tolist(), bins.hi.tolist(), bins.count.tolist(), strict=True)) == [
        (0, 0, 6), (1, 1, 5), (2, 20, 8),
    ]  # fmt: skip


def test_about_five_groups() -> None:
    assert len(degree_groups(np.repeat(np.arange(1, 170), 6))) == 5


def test_accuracy_and_flips_by_hand() -> None:
    nodes = pd.DataFrame({
        "degree": [1] * 5 + [9] * 5, "label": [0] * 10, "split": ["test"] * 8 + ["train", "none"],
        "prediction": [0, 0, 0, 0, 1, 1, 1, 0, 0, 0], "prediction_twin": [0, 0, 0, 0, 0, 1, 1, 1, 0, 0],
    })  # fmt: skip
    table = accuracy_by_degree(nodes)
    every = table[table["split"] == "all"]
    assert set(table["split"]) == {"all", "test", "train"}
    assert every["accuracy"].tolist() == pytest.approx([0.8, 0.6])
    assert every["accuracy_twin"].tolist() == pytest.approx([1.0, 0.4])
    assert every["flip_rate"].tolist() == pytest.approx([0.2, 0.2])


def test_unlabelled_nodes_are_left_out() -> None:
    nodes = pd.DataFrame({"degree": [1] * 6, "label": [0, 0, 0, 0, 0, -1], "split": "test", "prediction": 0,
                          "prediction_twin": 0})  # fmt: skip
    assert accuracy_by_degree(nodes)["nodes"].tolist() == [5, 5]
    assert accuracy_by_degree(nodes.iloc[:0]).empty


def test_the_nodes_of_a_graph_are_one_trial() -> None:
    nodes = pd.DataFrame({"graph": [0] * 500 + [1] * 500, "degree": 2, "label": 0, "split": "test",
                          "prediction": [0] * 500 + [1] * 500, "prediction_twin": 0})  # fmt: skip
    row = accuracy_by_degree(nodes).iloc[0]
    two = wilson(np.array([True, False]))
    assert tuple(row[["accuracy", "accuracy_lo", "accuracy_hi"]]) == pytest.approx(two)
    assert tuple(row[["flip_rate", "flip_lo", "flip_hi"]]) == pytest.approx(two)


def test_wilson_by_hand() -> None:
    share, low, high = wilson(np.ones(10, dtype=bool))
    assert (share, high) == (1.0, 1.0)
    assert low == pytest.approx(10 / (10 + 1.959964**2))


def test_protection_by_hand() -> None:
    # F of (0, 2, 2, 5) is 1/4, 3/4, 3/4, 1
    assert protection(np.array([0, 2, 2, 5]), 0.1, 0.3).tolist() == pytest.approx([0.15, 0.25, 0.25, 0.3])
    with pytest.raises(BadInput, match="p_min"):
        protection(np.array([1]), 0.3, 0.1)


def test_logarithms_of_nothing() -> None:
    assert np.isnan(sqnr_db(1.0, 0.0))
    assert np.isnan(sqnr_db(0.0, 1.0))
    assert occupation(np.array([4, 4, 0, 0])) == (2.0, 1.0)


def test_a_site_with_some_rows_in_float_is_quantized() -> None:
    """SGQuant leaves nodes of in-degree 1 in float (32 bits): they have no error and clip nothing; the others do."""
    steps, bits = np.repeat([1e-9, 2.0], 5)[:, None], np.repeat([32.0, 3.0], 5)[:, None]
    grid = Grid(*(torch.tensor(part, dtype=torch.float32) for part in (steps, 0 * steps, -1 + 0 * steps, 1 + 0 * steps,
                                                                       bits)))  # fmt: skip
    fields = grid_fields(grid, 3)
    assert fields["bits"] == 3
    x = np.tile([[0.75, 3.0]], (10, 1))
    xq = np.where(bits == 32, x, [[0.0, 2.0]])
    tables = analyse([by_hand(x=x, xq=xq, **fields)], np.repeat([1, 4], 5))
    local = tables["degree"][tables["degree"]["kind"] == "local"]
    assert local["mse"].tolist() == pytest.approx([0.0, (0.75**2 + 1) / 2])
    assert local["clipped_share"].tolist() == pytest.approx([0.0, 0.5])
    assert tables["widths"]["mean_bits"].tolist() == [32.0, 3.0]
    assert np.isfinite(tables["ranges"]["sqnr_db"]).all()


def test_rows_with_grids_of_their_own_by_hand() -> None:
    """Rows of steps 1 and 2, ends +-1 and +-2; degrees 1 and 4 fall in bins of their own once five nodes share them."""
    steps = np.repeat([1.0, 2.0], 5)[:, None]
    own = OwnGrids(-steps, steps, steps, np.repeat([2.0, 3.0], 5)[:, None])
    x = np.tile([[0.75, 3.0]], (10, 1))
    xq = np.where(steps == 1, [[1.0, 1.0]], [[0.0, 2.0]])
    tables = analyse([by_hand(x=x, xq=xq, own=own, bits=3, lo=-2.0, hi=2.0, scale=float(np.sqrt(2.5)))],
                     np.repeat([1, 4], 5))  # fmt: skip
    widths, degree = tables["widths"], tables["degree"]
    assert widths["mean_bits"].tolist() == [2.0, 3.0]
    assert widths["mean_step"].tolist() == [1.0, 2.0]
    local = degree[degree["kind"] == "local"]
    assert local["mse_rounding"].tolist() == pytest.approx([0.0625 / 2, 0.5625 / 2])
    assert local["mse_clipping"].tolist() == pytest.approx([4.0 / 2, 1.0 / 2])
    assert local["rmse_scale"].tolist() == pytest.approx([np.sqrt(4.0625 / 2), np.sqrt(1.5625 / 2) / 2])
    assert tables["ranges"]["levels_used"].isna().all()
