"""Methods below 8 bits side by side: figures as METHODS.md has them, differences and verdicts by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dqviz import analysis
from dqviz.analysis.group import seeds_by_variant
from dqviz.analysis.infos.low_bit import LowBitLine, claim_verdict, loss_verdict, low_bit
from dqviz.analysis.published import LOW_BIT, MARKS, PUBLISHED, READ, UNVERIFIED, published

METHODS = (Path(__file__).resolve().parents[2] / "docs" / "METHODS.md").read_text()
SEEDS = 6


def runs(method: str, bits: int, accuracy: float, arch: str = "gcn", **more: Any) -> list[dict[str, Any]]:
    """Six seeds whose accuracy falls by 1 point a seed, the same for every method."""
    plain = {"dataset": "cora", "arch": arch, "method": method, "bits": bits, "profile": "paper", "wall_s": 2.0}
    return [plain | {"run_id": f"{arch}{method}{bits}{seed}", "seed": seed, "test_accuracy": accuracy - 0.01 * seed}
            | more for seed in range(SEEDS)]  # fmt: skip


ROWS = [
    *runs("fp32", 32, 0.85, feature_bits=None, tensor_bits=32.0),
    *runs("dq", 8, 0.84, feature_bits=8.0, tensor_bits=8.0),
    *runs("topgq", 8, 0.80, feature_bits=8.0, tensor_bits=8.0, size_bytes=1_000, latency_ms=0.5),
    *runs("a2q", 2, 0.82, feature_bits=1.7, tensor_bits=3.0),
    *runs("qlr", 8, 0.845, arch="appnp"),
]


def lines(rows: list[dict[str, Any]]) -> dict[tuple[str, str], LowBitLine]:
    found = low_bit(seeds_by_variant(rows)).lines
    return {(line.who.arch, line.who.method): line for line in found}


@pytest.mark.parametrize("entry", LOW_BIT, ids=lambda one: f"{one.dataset}-{one.arch}-{one.method}-{one.bits}")
def test_figures_are_those_of_the_methods_page(entry: Any) -> None:
    figures = [value for value in (entry.mean, entry.fp32, entry.rerun) if np.isfinite(value)]
    assert all({f"{100 * value:.1f}", f"{100 * value:.2f}", f"{value:.4f}"} & numbers() for value in figures)
    assert np.isnan(entry.mean_bits) or f"{entry.mean_bits:g}" in {w.rstrip("0").rstrip(".") for w in numbers()}
    assert entry.trap
    assert entry.mark in MARKS


def numbers() -> set[str]:
    """Numbers of METHODS.md."""
    return {word.strip(",.;:()[]|").split("+-")[0] for word in METHODS.split()}


def test_every_figure_is_a_share_and_first_entries_are_found() -> None:
    assert all(0 < entry.mean < 1 for entry in PUBLISHED)
    found = published("cora", "gcn", "a2q", 4)
    assert found is not None
    assert (found.mean, found.std, found.mark) == (pytest.approx(0.809), pytest.approx(0.006), UNVERIFIED)
    assert found.note == "1.7 bits a feature; the epoch of the best test accuracy is kept"
    assert (found.rerun, found.rerun_seeds) == (pytest.approx(0.793), 4)
    smp = published("cora", "smp", "qlr", 4)
    assert smp is not None
    assert smp.loss == pytest.approx(0.018)
    assert (smp.mark, smp.note) == (READ, "random split, one run")


def test_a_line_by_hand() -> None:
    line = lines(ROWS)["gcn", "topgq"]
    assert line.result.mean == pytest.approx(0.80 - 0.025)
    assert line.costs["size_bytes"] == 1_000
    assert line.costs["latency_ms"] == 0.5
    assert np.isnan(line.costs["feature_bytes"])
    assert line.result.seconds == 2.0 * SEEDS
    assert line.rival is not None
    assert (line.rival.mean, line.rival.pairs, line.rival.called) == (pytest.approx(-0.04), SEEDS, True)
    assert "4.0 points worse than Degree-Quant INT8" in line.rival.verdict


def test_a_published_loss_that_is_larger_here_is_shown_failing() -> None:
    line = lines(ROWS)["gcn", "topgq"]
    assert line.loss is not None
    assert (line.loss.reported, line.loss.mean) == (pytest.approx(0.0018), pytest.approx(0.05))
    assert line.loss.verdict == "fails: at least 5.0 points are lost here"
    assert claim_verdict(line).startswith("fails: lower than reported")


def test_who_has_no_rival_and_who_takes_that_of_a_gcn() -> None:
    found = lines(ROWS)
    assert found["gcn", "fp32"].rival is None
    assert found["gcn", "dq"].rival is None
    assert found["gcn", "a2q"].rival is None, "Degree-Quant did not run at 2 bits"
    other = found["appnp", "qlr"].rival
    assert other is not None
    assert (other.baseline, other.mean) == ("Degree-Quant INT8, GCN", pytest.approx(0.005))


@pytest.mark.parametrize(
    ("low", "high", "pairs", "words"),
    [
        (0.02, 0.03, 10, "fails: at least 2.0 points are lost here"),
        (-0.01, 0.005, 10, "holds: at most 0.5 points are lost here"),
        (-0.02, -0.01, 10, "holds: at least 1.0 points are gained here"),
        (0.0, 0.02, 10, "as reported"),
        (0.02, 0.03, 4, "too few paired seeds for a verdict (4, at least 5)"),
    ],
)
def test_a_loss_in_words(low: float, high: float, pairs: int, words: str) -> None:
    assert loss_verdict(0.01, low, high, pairs).startswith(words)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.01, 0.002, "not shown: no difference can be called"),
        (-0.015, -0.005, "not shown: at most 1.5 points are gained here"),
        (-0.05, -0.01, "as reported: the reported loss lies in our interval"),
        (-0.05, -0.03, "holds: at least 3.0 points are gained here"),
        (0.01, 0.02, "fails: at least 1.0 points are lost here"),
    ],
)
def test_a_reported_gain_in_words(low: float, high: float, words: str) -> None:
    assert loss_verdict(-0.02, low, high, 10) == words


def test_a_loss_at_other_bits_has_no_verdict() -> None:
    """MixQ's mean is one over tensors; that of features says nothing about it."""
    rows = [*runs("fp32", 32, 0.80), *runs("mixq", 8, 0.75, feature_bits=7.7, tensor_bits=6.5)]
    line = lines(rows)["gcn", "mixq"]
    assert line.loss is not None
    assert line.loss.verdict == claim_verdict(line) == "no verdict: 6.5 tensor bits here, 7.7 there"
    assert line.loss.trap.startswith("7.7 bits a tensor;")


def test_the_reported_average_loss_of_sgquant_is_no_claim_about_one_width() -> None:
    rows = [*runs("fp32", 32, 0.80), *runs("sgquant", 4, 0.799)]
    loss = lines(rows)["gcn", "sgquant"].loss
    assert loss is not None
    assert (loss.reported, loss.mark) == (0.004, "reported (excerpt)")
    assert loss.verdict == "no verdict: reported as an average over networks whose widths were chosen"
    assert "last 10 %" in loss.trap


def test_only_what_has_finished_counts() -> None:
    rows = [*runs("dq", 8, 0.84), *(row | {"test_accuracy": None} for row in runs("topgq", 8, 0.8))]
    line = lines(rows)["gcn", "topgq"]
    assert (line.result.verdict, line.result.seeds) == ("not run", ())
    assert line.rival is None
    assert low_bit(seeds_by_variant(rows)).table["method"].tolist() == ["Degree-Quant"]


def test_the_sentence_names_the_best_of_each_width_and_who_beats_degree_quant() -> None:
    sentence = low_bit(seeds_by_variant(ROWS)).sentence
    assert sentence == (
        "Best of each width, of methods whose values all hold it: QLR INT8, APPNP 82.0 %. "
        "Better than Degree-Quant at the same width: QLR INT8, APPNP (against Degree-Quant INT8, GCN)."
    ), "A2Q INT2 takes 3 bits over all values"


def test_a_method_that_keeps_more_bits_is_not_the_best_of_its_width() -> None:
    kept = [*runs("dq", 4, 0.78), *[row | {"tensor_bits": 26.0} for row in runs("sgquant", 4, 0.83)]]
    found = lines(kept)["gcn", "sgquant"]
    assert not found.holds_width
    sentence = low_bit(seeds_by_variant(kept)).sentence
    assert sentence == (
        "Best of each width, of methods whose values all hold it: Degree-Quant INT4 75.5 %. "
        "Better with more bits over all values: SGQuant INT4 (26.0 bits)."
    )


def test_no_verdict_on_an_accuracy_at_other_bits() -> None:
    rows = [row | {"tensor_bits": 4.75} for row in runs("mixq", 8, 0.75)]
    assert claim_verdict(lines(rows)["gcn", "mixq"]) == "no verdict: 4.8 tensor bits here, 7.7 there"
    rows = [row | {"feature_bits": 7.4} for row in runs("mixq", 8, 0.75)]
    assert claim_verdict(lines(rows)["gcn", "mixq"]).startswith("fails")


def test_a_study_of_the_degree_quant_table_has_no_table_of_its_own() -> None:
    assert analysis.low_bit_of([row for row in ROWS if row["method"] in {"fp32", "dq"}]).table.empty
    assert len(analysis.low_bit_of(ROWS).table) == 5


def test_mean_bits_are_columns_only_where_they_are_not_those_asked_for() -> None:
    asked = analysis.compare_table([row for row in ROWS if row["method"] in {"fp32", "dq", "topgq"}]).table
    assert not {"feature_bits", "tensor_bits"} & set(asked)
    assert asked["bits"].tolist() == [32, 8, 8]
    learned = analysis.compare_table(ROWS).table
    assert learned.set_index("run").loc["A2Q INT2, GCN", ["feature_bits", "tensor_bits"]].tolist() == [1.7, 3.0]


def test_what_differs_in_a_published_protocol_stands_beside_the_figure() -> None:
    info = analysis.compare_table(ROWS)
    notes = info.table.set_index("run")["reported_note"]
    assert notes["TopGQ INT8, GCN"] == "inductive split"
    assert {score.who.method: score.note for score in info.scores}["topgq"] == "inductive split"


def test_a_map_from_site_to_bits_is_called_mixed() -> None:
    sites = {"default": 8, "norm": 4, "input": 4, "weight": 4}
    mixed = [row | {"bits": None, "site_bits": sites} for row in runs("qat", 8, 0.8)]
    rows = [*runs("dq", 8, 0.84), *mixed]
    table = analysis.compare_table(rows).table
    assert table["bits"].tolist() == ["INT8", "mixed"]
