"""What charts show and say, on a small study whose numbers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dqviz import analysis
from dqviz.analysis.info import Info
from dqviz.analysis.infos.paired_differences import verdict
from dqviz.analysis.published import READ, UNVERIFIED, published
from dqviz.analysis.words import count, growth, listing, number, power
from dqviz.errors import BadInput
from tests.analysis import analysis_examples as examples

KEY, PLACE = "1/aggregate", "the aggregate of layer 1"


def groups(name: str, **kwargs: object) -> list[analysis.Group]:
    return analysis.group_runs(examples.rows(**kwargs), examples.table(name))  # type: ignore[arg-type]


def test_seeds_are_one_group() -> None:
    found = groups("degree")
    assert [group.label for group in found] == ["FP32", "QAT INT4", "Degree-Quant INT4"]
    assert all(group.seeds == tuple(range(6)) for group in found)


def test_labels_say_what_differs() -> None:
    labels = [who.label for who in analysis.seeds_by_variant(examples.rows(archs=("gcn", "gin"), seeds=1))]
    assert labels[0] == "FP32, GCN"
    assert len(set(labels)) == 6


def test_the_same_seed_with_other_settings_is_another_group() -> None:
    rows = examples.rows((("dq", 4),), seeds=2)
    found = analysis.seeds_by_variant([*rows, *rows])
    assert [who.label for who in found] == ["Degree-Quant INT4", "Degree-Quant INT4 (2)"]
    assert all(len(members) == 2 for members in found.values())


def test_a_seed_that_lacks_does_not_mix_two_settings() -> None:
    first, second = ([row | {"configuration": name} for row in examples.rows((("qat", 4),), seeds=3)] for name in "ab")
    found = analysis.seeds_by_variant([first[0], first[2], *second])
    assert [[row["configuration"] for row in members] for members in found.values()] == [["a"] * 2, ["b"] * 3]


def test_the_depth_of_an_architecture_tells_groups_apart() -> None:
    rows = [row | {"arch_settings": {"layers": layers, "hidden": 8}}
            for layers in (2, 64) for row in examples.rows((("qat", 4),), seeds=2)]  # fmt: skip
    found = analysis.seeds_by_variant(rows)
    assert [who.label for who in found] == ["QAT INT4 (layers 2)", "QAT INT4 (layers 64)"]
    assert all(len(members) == 2 for members in found.values())


def test_a_run_without_the_table_is_left_out() -> None:
    def missing(run_id: str) -> pd.DataFrame | None:
        if run_id.endswith(":0"):
            raise FileNotFoundError(run_id)
        return None if run_id.endswith(":1") else pd.DataFrame({"a": [1]})

    assert analysis.group_runs(examples.rows(seeds=3), missing)[0].seeds == (2,)


def test_a_map_of_bits_is_mixed() -> None:
    row = examples.rows((("dq", 4),), seeds=1)[0] | {"bits": None}
    who = next(iter(analysis.seeds_by_variant([row])))
    assert (who.label, who.bits) == ("Degree-Quant mixed", 0)


def test_error_by_degree_means_over_seeds() -> None:
    info = analysis.error_by_degree(groups("degree"), KEY, "local", "mse")
    frames = [examples.run_tables("qat", 4, seed)["degree"] for seed in range(6)]
    first = [frame[(frame["key"] == KEY) & (frame["kind"] == "local")]["mse"].iloc[0] for frame in frames]
    line = next(line for line in info.lines if line.label == "QAT INT4")
    assert line.y[0] == pytest.approx(np.mean(first))
    assert (line.low <= line.y).all()
    assert (line.y <= line.high).all()
    assert info.nodes["nodes"].sum() == examples.NUM_NODES
    assert "QAT INT4" in info.sentence


def test_one_seed_keeps_the_interval_over_nodes() -> None:
    info = analysis.error_by_degree(groups("degree", seeds=1), KEY, "local", "error_mean")
    table = examples.run_tables("dq", 4, 0)["degree"]
    own = table[(table["key"] == KEY) & (table["kind"] == "local")]
    np.testing.assert_allclose(info.lines[-1].low, own["error_lo"])
    assert len(info.lines[-1].median)


def test_two_seeds_of_one_sign_are_no_growth_unless_each_shows_it() -> None:
    def table(ends: float) -> Callable[[str], pd.DataFrame]:
        def read(run: str) -> pd.DataFrame:
            value = {"0": 0.02, "1": 0.08}[run]
            return pd.DataFrame({"key": [KEY], "kind": ["local"], "exponent": [value],
                                 "exponent_lo": [value - ends], "exponent_hi": [value + ends]})  # fmt: skip

        return read

    rows = [{"run_id": str(seed), "method": "qat", "bits": 4, "seed": seed} for seed in range(2)]
    unsure, sure, none = (analysis.growth(analysis.group_runs(rows, table(ends)), KEY) for ends in (0.2, 0.01, np.nan))
    assert "every interval holds 0" in unsure.sentence
    assert (unsure.exponents[0].low, unsure.exponents[0].high) == pytest.approx((-0.18, 0.28))
    assert sure.sentence.startswith(f"At {PLACE} the local relative error grows with in-degree for QAT INT4")
    assert (
        none.sentence == f"At {PLACE} nodes are too few to tell whether the local relative error grows with in-degree."
    )


def test_one_group_of_degrees_spans_none() -> None:
    frames = examples.table("degree")
    rows = examples.rows((("qat", 4),), seeds=1)
    one = analysis.group_runs(rows, lambda run: frames(run).query("degree_lo == degree_lo.min()"))
    sentence = analysis.error_by_degree(one, KEY, "local", "mse").sentence
    assert "from in-degree" not in sentence


def test_unknown_choices_are_listed() -> None:
    with pytest.raises(BadInput, match="accumulated, local"):
        analysis.error_by_degree([], KEY, "total")
    with pytest.raises(BadInput, match="sqnr_db"):
        analysis.error_by_degree([], KEY, "local", "snr")
    with pytest.raises(BadInput, match="loss_val"):
        analysis.learning_curves([], "accuracy")
    with pytest.raises(BadInput, match="latency_ms, size_bytes"):
        analysis.pareto([], "cost")
    with pytest.raises(BadInput, match="QAT INT4"):
        analysis.paired_differences(examples.rows(), "PTQ INT4")
    with pytest.raises(BadInput, match="local errors only"):
        analysis.site_errors(groups("ranges"), "accumulated")


def test_parts_name_clipping() -> None:
    def clip(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(mse_clipping=frame["mse_rounding"] * np.arange(len(frame)))

    found = analysis.group_runs(examples.rows(seeds=1), lambda run: clip(examples.table("degree")(run)))
    info = analysis.error_parts(found, KEY)
    assert "clipping makes" in info.sentence
    assert [part.who.method for part in info.parts] == ["qat", "dq"]  # full precision has neither part


def test_growth_says_which_way() -> None:
    info = analysis.growth(groups("growth"), KEY)
    assert {one.kind for one in info.exponents} == {"local", "accumulated"}
    assert "falls with in-degree" in info.sentence  # the error is constant, the value grows as sqrt(n)


def test_gradient_error_at_the_first_weights() -> None:
    own, straight = (analysis.gradient_error(groups("gradients"), rule=rule) for rule in ("own", "ste"))
    assert own.key == "0/weight"
    assert [line.label for line in own.errors] == ["QAT INT4", "Degree-Quant INT4"]  # full precision has no error
    first = [examples.run_tables("qat", 4, seed)["gradients"] for seed in range(6)]
    wanted = [f[(f["key"] == "0/weight") & (f["rule"] == "own")]["gradient_error"].iloc[2] for f in first]
    assert own.errors[0].y[2] == pytest.approx(np.mean(wanted))
    np.testing.assert_allclose(own.errors[0].y, 2 * straight.errors[0].y)
    assert own.nodes["nodes"].sum() == examples.NUM_NODES
    assert own.sentence.startswith("At the weights of layer 0 the gradient of QAT INT4 is turned most around in-degree")
    assert "that of Degree-Quant INT4 is the highest" in own.sentence
    assert "straight-through" in straight.sentence
    with pytest.raises(BadInput, match="own, ste"):
        analysis.gradient_error([], rule="gc")


def test_one_site_is_paired_with_the_same_seeds() -> None:
    info = analysis.one_site(examples.one_site_rows())
    assert info.sites == ("aggregate", "message", "all sites")
    found = {(cost.who.label, cost.site): (cost.mean, cost.pairs) for cost in info.costs}
    assert found["QAT", "aggregate"] == (pytest.approx(-0.10), 5)
    assert found["Degree-Quant", "aggregate"] == (pytest.approx(-0.02), 5)
    assert found["QAT", "message"] == (pytest.approx(0.01), 5)
    assert found["QAT", "all sites"] == (pytest.approx(-0.2), 5)
    assert ("Degree-Quant", "all sites") not in found  # it was not trained
    assert info.sentence == (
        "With QAT at INT8 the site that costs most when it alone has INT4 is the aggregate: 10.0 points lost (GCN, 5 "
        "paired seeds); Degree-Quant loses 2.0 there."
    )
    few = analysis.one_site([row for row in examples.one_site_rows() if row["seed"] < 2])
    assert few.sentence.endswith("with under 5 pairs no difference can be called.")
    assert "One site at INT4, Cora" in analysis.one_site(examples.rows()).sentence


def test_one_site_is_paired_with_the_same_settings() -> None:
    """Narrow networks are 20 points worse whatever their sites; a seed that occurs twice is no pair."""
    wide = [row | {"arch_settings": {"hidden": 64}} for row in examples.one_site_rows()]
    narrow = [row | {"run_id": f"narrow {row['run_id']}", "arch_settings": {"hidden": 4},
                     "test_accuracy": row["test_accuracy"] - 0.2} for row in wide]  # fmt: skip
    found = {(cost.who.label, cost.site): cost for cost in analysis.one_site([*wide, *narrow]).costs}
    for hidden in (4, 64):
        assert found[f"QAT (hidden {hidden})", "aggregate"].mean == pytest.approx(-0.10)
    again = [row | {"run_id": f"again {row['run_id']}", "test_accuracy": 0.1} for row in wide if row["seed"] == 0]
    costs = analysis.one_site([*wide, *again]).costs
    assert {cost.pairs for cost in costs} == {4}
    assert next(cost.mean for cost in costs if cost.site == "aggregate") == pytest.approx(-0.10)


def test_a_map_that_lowers_one_site_names_it() -> None:
    labels = [who.label for who in analysis.seeds_by_variant(examples.one_site_rows())]
    assert {"QAT INT8", "QAT INT8 (aggregate INT4)", "Degree-Quant INT8 (message INT4)"} <= set(labels)
    three = examples.one_site_rows()[0] | {"bits": None, "site_bits": {"input": 4, "weight": 2, "update": 4}}
    assert [who.label for who in analysis.seeds_by_variant([three])] == ["QAT mixed"]


def test_settings_name_what_they_tell_apart() -> None:
    plain, mom = (examples.rows((("qat", 8),), seeds=2) for _ in range(2))
    mom = [row | {"method_settings": {"observer": "mom", "gradient": "ste"}} for row in mom]
    other = [row | {"method_settings": {"observer": "abs", "gradient": "ste"}} for row in mom]
    assert [w.label for w in analysis.seeds_by_variant([*mom, *other])] == ["QAT INT8 (observer mom)",
                                                                          "QAT INT8 (observer abs)"]  # fmt: skip
    both = [who.label for who in analysis.seeds_by_variant([*plain, *mom])]
    assert both == ["QAT INT8", "QAT INT8 (gradient ste; observer mom)"]
    assert [w.label for w in analysis.seeds_by_variant(mom)] == ["QAT INT8"]


def test_aggregation_exponent_is_that_of_the_values() -> None:
    info = analysis.aggregation_growth(groups("aggregation"))
    assert info.key == "1/aggregate"
    assert info.slopes["FP32"] == pytest.approx((0.5, 0.5), abs=0.06)
    assert [name for name, _, _ in info.references] == ["O(n)", "O(√n)", "O(1)"]
    for (_, x, y), exponent in zip(info.references, (1.0, 0.5, 0.0), strict=True):
        assert np.log(y[-1] / y[0]) / np.log(x[-1] / x[0]) == pytest.approx(exponent, abs=1e-9)


def power_table(power: float) -> pd.DataFrame:
    """Mean n and spread n^power over five bins."""
    n = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    return pd.DataFrame({"key": "0/aggregate", "degree_lo": n, "degree_hi": n, "degree": n,
                         "nodes": [50, 40, 30, 20, 10], "mean": n, "spread": 3 * n**power})  # fmt: skip


def test_exponents_by_hand_with_their_interval() -> None:
    powers = {"a:0": 0.48, "a:1": 0.52, "b:0": 1.0}
    rows = [{"run_id": run, "method": "fp32", "bits": 32, "arch": "gcn" if run[0] == "a" else "gin",
             "dataset": "cora", "seed": int(run[2])} for run in powers]  # fmt: skip
    info = analysis.aggregation_exponents(analysis.group_runs(rows, lambda run: power_table(powers[run])))
    mean, spread, _, single = info.exponents
    assert (mean.kind, mean.value) == ("mean", pytest.approx(1.0))
    assert (spread.value, spread.low, spread.high) == pytest.approx((0.5, 0.48, 0.52))  # over the two seeds
    assert (single.value, single.low, single.high) == pytest.approx((1.0, 1.0, 1.0))  # over bins: no bin is off
    assert info.sentence == (
        "At the aggregate of layer 0 the spread changes with in-degree n as n^1.00 for FP32, GIN (95 % interval 1.00 "
        "to 1.00, which holds O(n)); as n^0.50 for FP32, GCN (95 % interval 0.48 to 0.52, which holds O(√n))."
    )


def test_sites_in_order_of_execution() -> None:
    local = analysis.site_errors(groups("ranges"), "local")
    assert local.keys[:3] == ("0/input", "0/weight", "0/message")
    accumulated = analysis.site_errors(groups("degree"), "accumulated")
    assert "0/weight" not in accumulated.keys
    assert accumulated.lines[1].y.max() == pytest.approx(accumulated.table.query("method == 'qat'")["error_mean"].max())


def test_worst_nodes_are_the_worst() -> None:
    nodes = examples.run_tables("qat", 4, 0)["nodes"]
    info = analysis.worst_nodes(nodes, KEY, 7)
    assert len(info.table) == 7
    assert info.table["error_mean"].is_monotonic_decreasing
    assert info.table["error_mean"].iloc[0] == nodes[f"{KEY}|accumulated"].max()
    assert analysis.worst_nodes(nodes, "9/none").table.empty


def test_histogram_has_range_and_levels() -> None:
    info = analysis.site_histogram(groups("histograms"), groups("ranges"), KEY)
    full, qat, _ = info.histograms
    assert np.isnan(full.lo)
    assert len(qat.levels) == 16
    assert qat.share.sum() == pytest.approx(1.0)


def test_bands_show_the_tail_of_hubs() -> None:
    info = analysis.degree_bands(groups("quantiles"), KEY, groups("ranges"))
    assert info.bands[0].values.shape == (9, len(info.bands[0].names))
    assert "hubs stretch the range" in info.sentence


def changed(name: str, change: Callable[[pd.DataFrame], pd.DataFrame], **kwargs: object) -> list[analysis.Group]:
    read = examples.table(name)
    return analysis.group_runs(examples.rows(**kwargs), lambda run: change(read(run)))  # type: ignore[arg-type]


def test_grids_of_rows_are_quantized_though_no_share_of_levels_is_told() -> None:
    own = changed("ranges", lambda frame: frame.assign(entropy_bits=np.nan, levels_total=np.nan))
    sentence = analysis.site_histogram(groups("histograms"), own, KEY).sentence
    assert sentence.startswith(f"At {PLACE} there is no one grid whose use could be told")
    assert "(QAT INT4 and Degree-Quant INT4)" in sentence
    fp32 = [("fp32", 32)]
    none = analysis.site_histogram(groups("histograms", combinations=fp32), groups("ranges", combinations=fp32), KEY)
    assert none.sentence == f"The values at {PLACE} are not quantized in these runs."


def test_levels_are_a_share_of_the_bits_of_their_own_site() -> None:
    def mixed(frame: pd.DataFrame) -> pd.DataFrame:
        wide = frame["key"] == "0/message"
        return frame.assign(bits=np.where(wide, 8, 4), entropy_bits=np.where(wide, 6.0, 3.9))

    info = analysis.levels_used(changed("ranges", mixed, combinations=[("qat", 4)]))
    assert info.sentence == "QAT INT4 uses its levels least at the message of layer 0: 6 of 8 bits."


@pytest.mark.parametrize(("largest", "words"), [
    ([50.0, 5.0, 1.0], "goes from 50 at in-degree"),
    ([1.0, 5.0, 1.0], "goes from 1 at in-degree"),
    ([5.0, 5.1, 5.0], "much the same in every degree group"),
    ([1.0, 2.0, 3.0], "hubs stretch the range 3 times"),
])  # fmt: skip
def test_the_range_of_every_degree_group_counts(largest: list[float], words: str) -> None:
    frame = pd.DataFrame({"key": KEY, "group": range(3), "degree_lo": [1, 2, 3], "degree_hi": [1, 2, 3],
                          "quantile": 1.0, "value": largest})  # fmt: skip
    rows = examples.rows((("qat", 4),), seeds=1)
    assert words in analysis.degree_bands(analysis.group_runs(rows, lambda _: frame), KEY).sentence


def test_levels_used_finds_the_wasted_site() -> None:
    assert "aggregate of layer 0" in analysis.levels_used(groups("ranges")).sentence


def test_protection_shares_by_hand() -> None:
    facts = {"degree_table": {"0": 1, "2": 2, "5": 1}}
    info = analysis.protection_curve(facts, 0.1, 0.3)
    assert info.p.tolist() == pytest.approx([0.15, 0.25, 0.3])
    assert info.node_share == pytest.approx((0.15 + 2 * 0.25 + 0.3) / 4)
    assert info.edge_share == pytest.approx((4 * 0.25 + 5 * 0.3) / 9)


def test_a_mask_is_drawn_with_the_probabilities() -> None:
    facts = examples.facts()
    shares = [analysis.mask_sample(facts, 0.2, 0.2, seed).protected.mean() for seed in range(60)]
    assert np.mean(shares) == pytest.approx(0.2, abs=0.05)
    none = analysis.mask_sample(facts, 0.0, 0.0)
    assert not none.protected.any()
    assert none.sentence.startswith("In this draw none of the ")
    assert analysis.mask_sample(facts, 1.0, 1.0).sentence.startswith("In this draw all of the ")
    np.testing.assert_array_equal(*(analysis.mask_sample(facts, 0.1, 0.4, 3).protected for _ in range(2)))


def test_measured_frequency_follows_the_probability() -> None:
    info = analysis.protection_frequency(groups("nodes"))
    assert [line.label for line in info.lines] == ["Degree-Quant INT4"]
    np.testing.assert_allclose(info.lines[0].y, info.lines[0].x, atol=0.06)
    assert sum(info.nodes[0]) == 6 * examples.NUM_NODES


def test_speedup_is_against_the_fastest_baseline_and_pyg() -> None:
    info = analysis.latency_bars(examples.latency())
    ((_, bars),) = info.panels
    int8 = next(bar for bar in bars if bar.precision == "int8")
    assert (int8.speedup, int8.speedup_pyg) == pytest.approx((2.0, 5.0))
    assert "2 times as fast as the fastest FP32 (fbgemm" in info.sentence
    assert [name for name, _ in analysis.latency_operations(examples.latency()).panels] == ["spmm on cora"]


def test_a_slower_integer_run_is_said_to_be_slower() -> None:
    slow = examples.latency().assign(median_ms=lambda f: f["median_ms"].where(f["precision"] == "fp32", 3.0))
    assert "no integer run beats the fastest FP32" in analysis.latency_bars(slow).sentence


def test_table_shows_what_differs_and_what_was_published() -> None:
    table = analysis.compare_table(examples.rows()).table
    assert {"method", "bits"} <= set(table)
    assert not {"dataset", "arch", "profile", "epochs"} & set(table)
    assert table["reported"].tolist() == pytest.approx([0.814, 0.772, 0.783])
    assert set(table["reported_mark"]) == {UNVERIFIED}
    assert table["seeds"].tolist() == [6, 6, 6]


def test_published_figures_carry_their_mark() -> None:
    found = published("reddit-binary", "gin", "dq", 4)
    assert found is not None
    assert (found.mean, found.mark) == (pytest.approx(0.862), READ)
    assert published("cora", "sage", "dq", 4) is None


def test_differences_are_paired() -> None:
    """Seeds differ by far more than the methods do; only pairs show the difference."""
    rows = [{"run_id": f"{m}{s}", "method": m, "bits": 4, "arch": "gcn", "dataset": "cora", "seed": s,
             "test_accuracy": 0.5 + 0.04 * s + gain + 0.001 * (-1) ** s}
            for m, gain in (("qat", 0.0), ("dq", 0.012)) for s in range(10)]  # fmt: skip
    rows[0]["test_accuracy"] = float(rows[0]["test_accuracy"]) - 0.001
    (one,) = analysis.paired_differences(rows, "QAT INT4").differences
    assert one.called
    assert one.mean == pytest.approx(0.0121)
    assert one.verdict.startswith("Degree-Quant INT4 is 1.2 points better than QAT INT4 (95 % interval 1.2 to 1.2, 10 ")


def test_verdicts_in_words() -> None:
    assert verdict("A", "B", 0.012, 0.003, 0.021, 10) == (
        "A is 1.2 points better than B (95 % interval 0.3 to 2.1, 10 paired seeds)."
    )
    assert verdict("A", "B", -0.012, -0.021, -0.003, 10) == (
        "A is 1.2 points worse than B (95 % interval 0.3 to 2.1, 10 paired seeds)."
    )
    assert verdict("A", "B", 0.01, -0.002, 0.02, 10).startswith("No difference between A and B can be called")
    assert "at least 5 are needed" in verdict("A", "B", 0.01, 0.005, 0.02, 2)
    assert "share no seed" in verdict("A", "B", np.nan, np.nan, np.nan, 0)


def test_a_short_baseline_compares_within_each_architecture() -> None:
    found = analysis.paired_differences(examples.rows(archs=("gcn", "gin")), "FP32").differences
    assert len(found) == 4
    assert all(one.baseline.endswith(one.who.arch.upper()) for one in found)


def test_a_chart_opens_on_a_cost_that_is_known() -> None:
    untimed = [row | {"latency_ms": None} for row in examples.rows()]
    assert analysis.known_cost(untimed) == "size_bytes"
    assert analysis.known_cost([*untimed, examples.rows()[0] | {"latency_ms": 1.5}]) == "latency_ms"
    assert analysis.known_cost([]) == "latency_ms"


def test_pareto_keeps_what_nothing_beats() -> None:
    info = analysis.pareto(examples.rows(), "size_bytes")
    assert {p.who.method: p.best for p in info.points} == {"fp32": True, "qat": False, "dq": True}
    assert analysis.pareto([row | {"latency_ms": None} for row in examples.rows()]).points == ()


def test_accuracy_against_cost_is_that_of_all_seeds_where_one_was_timed() -> None:
    def row(method: str, seed: int, accuracy: float) -> dict[str, object]:
        return {"run_id": f"{method}{seed}", "method": method, "bits": 8, "seed": seed, "test_accuracy": accuracy,
                "latency_ms": 1.0 if seed == 0 else None}  # fmt: skip

    rows = [row("qat", seed, 0.6 if seed else 0.8) for seed in range(5)] + [row("dq", seed, 0.75) for seed in range(5)]
    qat, dq = analysis.pareto(rows, "latency_ms").points
    assert (qat.cost, qat.accuracy, qat.best) == (1.0, pytest.approx(0.64), False)
    assert (dq.accuracy, dq.best) == (pytest.approx(0.75), True)
    assert qat.low < qat.accuracy < qat.high


@pytest.mark.parametrize("cost", ["feature_bits", "tensor_bits"])
def test_accuracy_against_bits(cost: str) -> None:
    bits = {"fp32": 32.0, "qat": 4.0, "dq": 2.5}
    info = analysis.pareto([row | {cost: bits[row["method"]]} for row in examples.rows()], cost)
    assert {p.who.method: (p.cost, p.best) for p in info.points} == {
        "fp32": (32.0, True), "qat": (4.0, False), "dq": (2.5, True),
    }  # fmt: skip
    assert "nothing here is both of fewer bits and at least as accurate" in info.sentence
    assert "before bits were counted" in analysis.pareto(examples.rows(), cost).sentence


def test_a_neighbourhood_by_hand() -> None:
    nodes, edges = examples.neighbours()
    info = analysis.neighbourhood(nodes, edges, 0, "0/update")
    assert info.node.tolist() == [0, 3, 1, 2], "the centre, then the largest errors first; not known comes last"
    assert sorted(info.edges.tolist()) == [[1, 0], [2, 0], [2, 3], [3, 0]]
    assert info.degree.tolist() == [3, 0, 0, 1]
    assert info.flip.tolist() == [True, False, False, True]
    assert info.sentence == (
        "Node 0 has an accumulated error of 0.9 at the update of layer 0 and flips; 3 neighbours send to it, with a "
        "mean error of 0.3, and 1 of them flips."
    )
    assert analysis.neighbourhood(nodes, edges, 0, "0/update", "local").error.tolist() == [0.5] * 4


def test_a_neighbourhood_of_one_or_none() -> None:
    nodes, edges = examples.neighbours()
    one = analysis.neighbourhood(nodes, edges, 2, "0/update").sentence
    assert "; 1 neighbour sends to it, with a mean error of 0.2, and none of them" in one
    assert analysis.neighbourhood(nodes, edges, 4, "0/update").sentence.endswith("; no node sends to it.")
    assert "of unknown size" in analysis.neighbourhood(nodes, edges, 2, "0/update").sentence
    assert "of unknown size" in analysis.neighbourhood(nodes, edges, 0, "9/nowhere").sentence


def test_a_neighbourhood_leaves_out_what_would_not_be_seen() -> None:
    size = 100
    edges = pd.DataFrame({"source": range(size), "target": 0})
    error = np.arange(size, dtype=float)
    error[[0, 5]] = 1000.0, np.nan
    nodes = pd.DataFrame({"node": range(size), "degree": 0, "prediction": 1, "prediction_twin": 0,
                          "0/update|accumulated": error})  # fmt: skip
    hub = analysis.neighbourhood(nodes, edges, 0, "0/update")
    assert len(hub.node) == 61, "a self-loop makes no neighbour"
    assert hub.node[:4].tolist() == [0, 99, 98, 97]
    assert "(39 more are not drawn)" in hub.sentence


def test_bits_by_degree_say_who_changes_them_and_which_way() -> None:
    flat, falling = [group for group in groups("widths") if group.bits < 32][:2]
    at = [frame[frame["key"] == KEY] for frame in falling.frames]
    frames = tuple(frame.assign(mean_bits=np.linspace(4, 2, len(frame))) for frame in at)
    info = analysis.widths_by_degree([flat, replace(falling, frames=frames)], KEY)
    assert [line.y[-1] for line in info.bits] == [flat.bits, 2.0]
    assert f"the bits of {falling.label} fall from 4 at in-degree" in info.sentence
    assert f"{flat.label} gives every node the same bits" in info.sentence
    assert {"mean_bits", "mean_step", "nodes", "degree"} <= set(info.table.columns)
    assert info.errors == ()


def test_a_site_without_bits_of_its_own_says_where_there_are_some() -> None:
    info = analysis.widths_by_degree(groups("widths"), "9/nowhere", groups("degree"))
    assert "all rows share one grid, or have none; equal bits are told at the aggregate of layer 0, " in info.sentence
    assert info.bits == ()


def test_it_names_only_sites_whose_bits_differ_where_there_are_such() -> None:
    first, *others = groups("widths")
    falls = tuple(f.assign(mean_bits=np.where(f["key"] == KEY, np.linspace(4, 2, len(f)), 8.0)) for f in first.frames)
    info = analysis.widths_by_degree([replace(first, frames=falls), *others], "9/nowhere")
    assert info.sentence == f"At the nowhere of layer 9 all rows share one grid, or have none; bits differ at {PLACE}."


def test_an_error_of_nothing_asks_for_nothing() -> None:
    errors = [
        replace(group, frames=tuple(f.assign(error_mean=0.0) for f in group.frames)) for group in groups("degree")
    ]
    assert "supports" not in analysis.widths_by_degree(groups("widths"), KEY, errors).sentence


@pytest.mark.parametrize(("ends", "way", "asks"), [
    ((0.1, 0.3), "rises from 0.1", "more bits at high in-degree"),
    ((0.3, 0.1), "falls from 0.3", "more bits at low in-degree"),
    ((0.2, 0.205), "stays level from 0.2", "neither direction"),
])  # fmt: skip
def test_the_error_says_where_bits_are_needed(ends: tuple[float, float], way: str, asks: str) -> None:
    """The error of equal bits asks for them; without such a run the error of those whose bits change."""
    flat, changing = [group for group in groups("widths") if group.bits < 32][:2]
    at = [frame[frame["key"] == KEY] for frame in changing.frames]
    frames = tuple(frame.assign(mean_bits=np.linspace(4, 2, len(frame))) for frame in at)
    widths = [flat, replace(changing, frames=frames)]
    errors = []
    for group in groups("degree"):
        tables = [frame[(frame["key"] == KEY) & (frame["kind"] == "local") & (frame["degree"] > 0)]
                  for frame in group.frames]  # fmt: skip
        errors.append(replace(group, frames=tuple(t.assign(error_mean=np.linspace(*ends, len(t))) for t in tables)))
    info = analysis.widths_by_degree(widths, KEY, errors)
    assert {line.who.bits for line in info.errors} == {group.bits for group in errors if group.bits < 32}
    assert f"The relative error of {flat.label}, with the same bits for all, {way} at in-degree" in info.sentence
    assert f"which supports {asks}." in info.sentence
    assert f"relative error of {changing.label}" not in info.sentence
    alone = analysis.widths_by_degree(widths[1:], KEY, [e for e in errors if e.label == changing.label])
    assert f"The relative error of {changing.label}, with these bits, {way}" in alone.sentence


def empty_infos() -> dict[str, Info]:
    nothing: list[analysis.Group] = []
    no_latency = examples.latency().iloc[:0]
    return {
        "degree_histogram": analysis.degree_histogram({}), "learning_curves": analysis.learning_curves(nothing),
        "error_by_degree": analysis.error_by_degree(nothing, KEY), "error_parts": analysis.error_parts(nothing, KEY),
        "gradient_error": analysis.gradient_error(nothing), "depth": analysis.depth([], examples.depth_table, {}),
        "smoothness_by_layer": analysis.smoothness_by_layer(nothing),
        "widths_by_degree": analysis.widths_by_degree(nothing, KEY),
        "growth": analysis.growth(nothing, KEY), "accuracy_by_degree": analysis.accuracy_by_degree_info(nothing),
        "site_errors": analysis.site_errors(nothing), "site_histogram": analysis.site_histogram(nothing, nothing, KEY),
        "degree_bands": analysis.degree_bands(nothing, KEY), "range_trace": analysis.range_trace(nothing, KEY),
        "aggregation_exponents": analysis.aggregation_exponents(nothing),
        "aggregation_growth": analysis.aggregation_growth(nothing), "levels_used": analysis.levels_used(nothing),
        "protection_curve": analysis.protection_curve({}, 0.0, 0.1), "mask_sample": analysis.mask_sample({}, 0.0, 0.1),
        "protection_frequency": analysis.protection_frequency(nothing),
        "latency_bars": analysis.latency_bars(no_latency),
        "latency_operations": analysis.latency_operations(no_latency),
        "roofline": analysis.roofline(no_latency), "scale_curve": analysis.scale_curve(no_latency),
        "held_memory": analysis.held_memory(no_latency),
        "one_site": analysis.one_site([]),
        "compare_table": analysis.compare_table([]), "paired_differences": analysis.paired_differences([], "FP32"),
        "pareto": analysis.pareto([]), "neighbourhood": analysis.neighbourhood(pd.DataFrame(), pd.DataFrame(), 0, KEY),
        "worst_nodes": analysis.worst_nodes(pd.DataFrame(), KEY),
    }  # fmt: skip


@pytest.mark.parametrize("name", empty_infos())
def test_nothing_chosen_still_says_something(name: str) -> None:
    info = empty_infos()[name]
    assert info.sentence.endswith(".")
    assert info.alt.endswith(".")


def test_words() -> None:
    assert [number(v) for v in (0, 0.01234, 1.5, 169343, 1.23e-7, np.nan)] == [
        "0", "0.0123", "1.5", "169,343", "1.23e-07", "undefined",
    ]  # fmt: skip
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list("abcdef")) == "a, b, c, d and 2 more"
    assert growth(2.1) == "grows 2.1 times"
    assert (power(-0.004), power(0.5), power(-0.126)) == ("0.00", "0.50", "-0.13")
    assert (count(1, "seed"), count(2708, "node")) == ("1 seed", "2,708 nodes")


def test_protection_of_many_graphs_is_each_graphs_own_in_training() -> None:
    assert "each graph has its own" not in analysis.protection_curve(examples.facts(), 0.0, 0.1).sentence
    many = examples.facts() | {"graphs": 3}
    assert analysis.protection_curve(many, 0.0, 0.1).sentence.endswith("in training each graph has its own.")


def test_a_network_that_is_no_good_without_its_grids_is_said_to_be_one() -> None:
    shown = [group for group in groups("accuracy") if group.bits == 4][:1]
    known = analysis.accuracy_by_degree_info(shown)
    assert "switching the quantizers off" not in known.sentence
    worse = [frame.assign(accuracy_twin=frame["accuracy"] - 0.2) for frame in shown[0].frames]
    told = analysis.accuracy_by_degree_info([replace(shown[0], frames=tuple(worse))])
    assert f"lowers the accuracy of {shown[0].label} from" in told.sentence
    assert "not what quantization costs" in told.sentence
