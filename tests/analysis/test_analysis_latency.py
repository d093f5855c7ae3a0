"""What the Latency page says of a timing: roofline, growth with the graph, memory, and where INT8 gains least."""

from __future__ import annotations

import numpy as np
import pytest

from dqviz import analysis
from dqviz.analysis.infos.latency import complete
from tests.analysis import analysis_examples as examples


def test_whole_networks_are_shown_on_their_own_graph_and_on_the_largest() -> None:
    info = analysis.latency_bars(examples.latency_sweep())
    assert [name for name, _ in info.panels] == ["gcn on cora", "gcn on arxiv-size"]
    own = dict(info.panels)["gcn on cora"]
    assert [bar.accuracy for bar in own] == [0.8] * 3
    assert all(np.isnan(bar.accuracy) for bar in dict(info.panels)["gcn on arxiv-size"])


def test_operations_of_one_graph() -> None:
    frame = examples.latency_sweep()
    info = analysis.latency_operations(frame, "heavy-5k")
    assert [name for name, _ in info.panels] == ["gcn/0/gemm on heavy-5k", "gcn/0/spmm on heavy-5k"]
    assert analysis.graphs_by_size(frame) == ["heavy-1k", "cora", "heavy-5k", "arxiv-size"]


def test_a_timing_of_an_older_version_has_no_accuracy_and_no_memory() -> None:
    old = examples.latency()
    assert "accuracy" not in old
    assert complete(old)["accuracy"].isna().all()
    assert analysis.held_memory(old).held == ()
    assert "measure again" in analysis.held_memory(old).sentence


def test_the_roofline_says_that_caches_lift_marks_above_the_copy() -> None:
    info = analysis.roofline(examples.latency_sweep())
    assert info.copy_gb_s == pytest.approx(20.0)
    spmm = next(m for m in info.marks if m.label == "gcn/0/spmm on arxiv-size" and m.precision == "int8")
    assert spmm.gigabytes_s == pytest.approx(1e6 * 169.343 / (0.75 * 0.2 * 169.343) / 1e6)
    assert "a plain copy of memory reaches 20 GB/s" in info.sentence
    assert "stay in the caches lie above the line: 0 of 24 timings do" in info.sentence
    fast = examples.latency_sweep().assign(median_ms=lambda f: f["median_ms"].where(f["op"] == "copy", 1e-3))
    assert "24 of 24 timings do" in analysis.roofline(fast).sentence


def test_the_curve_leaves_out_the_graph_of_the_training() -> None:
    info = analysis.scale_curve(examples.latency_sweep())
    assert [name for name, _ in info.panels] == ["gcn end to end", "gcn, its sparse products"]
    whole = {curve.precision: curve for curve in dict(info.panels)["gcn end to end"]}
    assert list(whole) == ["fp32", "int8", "int4"]
    assert whole["int8"].num_nodes.tolist() == [1_000, 5_000, 169_343]
    assert whole["int8"].ms.tolist() == pytest.approx([4.0, 5.0, 0.2 * 169.343])
    sparse = {curve.precision: curve for curve in dict(info.panels)["gcn, its sparse products"]}
    assert sparse["fp32"].ms.tolist() == pytest.approx([0.75, 3.75, 0.75 * 169.343])
    assert info.sentence == (
        "gcn end to end: INT8 is 0.25 times as fast as the fastest FP32 at 1,000 nodes and 5 times at 169,343."
    )


def test_a_timing_on_one_graph_has_no_curve() -> None:
    info = analysis.scale_curve(examples.latency())
    assert info.panels == ()
    assert "Only one graph" in info.sentence


def test_memory_is_told_on_the_largest_graph() -> None:
    info = analysis.held_memory(examples.latency_sweep())
    assert [one.precision for one in info.held] == ["fp32", "int8", "int4"]
    assert info.held[1].features_mb == pytest.approx(info.held[0].features_mb / 4)
    assert "INT8 21.7 MB (0.25 of it); INT4 10.8 MB (0.125 of it)." in info.sentence
    assert "indices" not in info.sentence
    sparse = examples.latency_sweep().assign(feature_bytes=1e6)
    assert "indices do not shrink" in analysis.held_memory(sparse).sentence


def test_the_paragraph_explains_the_case_where_int8_gains_least() -> None:
    text = analysis.least_gain(examples.latency_sweep())
    assert text == (
        "INT8 is not faster in 3 of 4 comparisons of a whole network; it gains least on heavy-1k: 4 ms (native) "
        "against 1 ms (fbgemm), 0.25 times as fast. Its longest step is gcn/0/spmm: 3 ms (FP32: 0.75 ms); moving its "
        "1 MB at the rate of a copy would take 0.05 ms, 1.7 % of it: instructions are the limit."
    )


def test_at_small_sizes_the_call_is_what_costs() -> None:
    small = examples.latency_sweep()
    small = small.assign(median_ms=small["median_ms"].where(small["op"] == "copy", small["median_ms"] / 100))
    small = small.assign(bytes_moved=small["bytes_moved"].where(small["op"] == "copy", 1000.0))
    assert "the fixed cost of each call decides at this size" in analysis.least_gain(small)


def test_where_memory_is_the_limit_fewer_bits_help() -> None:
    frame = examples.latency_sweep()
    frame = frame.assign(bytes_moved=frame["bytes_moved"].where(frame["op"] == "copy", 40 * frame["bytes_moved"]))
    assert "the memory is the limit, and fewer bits help there" in analysis.least_gain(frame)


def test_int8_that_always_wins_is_said_to() -> None:
    frame = examples.latency_sweep()
    fast = frame.assign(median_ms=frame["median_ms"].where(frame["precision"] != "int8", frame["median_ms"] / 100))
    assert analysis.least_gain(fast).startswith("INT8 is faster in all 4 comparisons of a whole network")


def test_without_an_int8_run_there_is_no_paragraph() -> None:
    frame = examples.latency_sweep()
    assert analysis.least_gain(frame[frame["precision"] == "fp32"]) == ""
    assert analysis.least_gain(frame.iloc[:0]) == ""
