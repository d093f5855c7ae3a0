"""A table made again: verdicts by hand, cells that lack seeds, and the file from a ledger that is not complete."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dqviz.analysis.published import published
from dqviz.analysis.reproduction import asking, claim_verdict, claims, result, verdict
from dqviz.cli import main, reproduce
from dqviz.cli.parse import grouped
from dqviz.errors import BadInput
from dqviz.report.reproduction import Made, document
from dqviz.runs import reproducing
from dqviz.runs import store as store_of_runs
from dqviz.runs.ledger import Ledger
from dqviz.runs.reproducing import Reproduction, table, train_command
from dqviz.runs.tuned import cells
from dqviz.spec import Study, make_spec


def rows(values: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"seed": seed, "test_accuracy": value, "wall_s": 2.0, "state": "finished", **more}
            for seed, value in enumerate(values)]  # fmt: skip


KNOWN = published("cora", "gcn", "dq", 8)  # 81.7 +- 0.7


@pytest.mark.parametrize(
    ("low", "high", "seeds", "known", "words"),
    [
        (0.80, 0.83, 10, KNOWN, "as reported"),
        (0.82, 0.83, 10, KNOWN, "higher than reported"),
        (0.70, 0.80, 10, KNOWN, "lower than reported"),
        (0.70, 0.80, 4, KNOWN, "too few seeds for a verdict (4, at least 5)"),
        (0.70, 0.80, 10, None, "nothing was reported"),
        (np.nan, np.nan, 0, KNOWN, "not run"),
    ],
)
def test_a_cell_in_words(low: float, high: float, seeds: int, known: Any, words: str) -> None:
    assert verdict(low, high, seeds, known).startswith(words)


@pytest.mark.parametrize(
    ("reported", "low", "high", "pairs", "words"),
    [
        (0.02, 0.01, 0.03, 10, "holds: Degree-Quant is better than QAT, by at least 1.0 points"),
        (0.02, -0.01, 0.03, 10, "not shown: no difference can be called"),
        (0.02, -0.03, -0.01, 10, "does not hold: QAT is better than Degree-Quant, by at least 1.0 points"),
        (-0.02, -0.03, -0.01, 10, "holds: QAT is better than Degree-Quant, by at least 1.0 points"),
        (np.nan, 0.01, 0.03, 10, "Degree-Quant is better than QAT, by at least 1.0 points"),
        (np.nan, -0.01, 0.03, 10, "no difference can be called"),
        (0.02, 0.01, 0.03, 4, "too few paired seeds for a verdict (4, at least 5)"),
        (0.02, 0.0003, 0.03, 10, "holds: Degree-Quant is better than QAT, if barely"),
    ],
)
def test_a_claim_in_words(reported: float, low: float, high: float, pairs: int, words: str) -> None:
    assert claim_verdict("QAT", reported, low, high, pairs) == words


def test_a_cell_by_hand() -> None:
    one = result(("cora", "gcn", "dq", 8), [*rows([0.80, 0.82, 0.84]), {"seed": 3, "state": "failed"}])
    assert (one.mean, one.std, one.seconds) == (pytest.approx(0.82), pytest.approx(0.02), 6.0)
    assert one.seeds == (0, 1, 2)
    assert one.difference == pytest.approx(0.82 - 0.817)
    assert not one.wide
    assert result(("cora", "gcn", "dq", 8), rows([0.7, 0.8])).wide


def test_claims_are_paired_over_seeds() -> None:
    cells = {
        ("cora", "gcn", "fp32", 32): rows([0.80, 0.81, 0.82, 0.83, 0.84]),
        ("cora", "gcn", "qat", 4): rows([0.70, 0.71, 0.72, 0.73, 0.74, 0.9]),
        ("cora", "gcn", "dq", 4): rows([0.75, 0.76, 0.77, 0.78, 0.79]),
    }
    found = {one.baseline: one for one in claims(cells)}
    assert set(found) == {"fp32", "qat"}
    assert (found["qat"].mean, found["qat"].pairs) == (pytest.approx(0.05), 5)
    assert found["qat"].reported == pytest.approx(0.783 - 0.772)
    assert found["qat"].verdict.startswith("holds")
    assert found["fp32"].verdict == "fails: at least 5.0 points are lost here", "the paper loses 3.1"


def test_only_data_sets_with_a_table_can_be_reproduced() -> None:
    with pytest.raises(BadInput, match="citeseer, cora, mnist, pubmed, reddit-binary"):
        table("karate")
    assert len(table("cora").runs) == 390


def test_the_command_of_a_cell_is_its_run() -> None:
    spec = make_spec(dataset="reddit-binary", arch="gin", method="dq", bits=4, seed=3, epochs=7, profile="integer",
                     optimizer={"lr": 1e-3, "decay_every": 50}, method_settings={"p_max": 0.2, "mask": "forward"},
                     arch_settings={"benchmark": True, "layers": 5}, dataset_settings={"fold": 2})  # fmt: skip
    words = train_command(spec).split()
    given = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    options = {words[at]: words[at + 1] for at in range(2, len(words), 2) if words[at] != "--set"}
    again = make_spec(dataset=options["--dataset"], arch=options["--arch"], method=options["--method"],
                      bits=int(options["--bits"]), seed=int(options["--seed"]), epochs=int(options["--epochs"]),
                      profile=options["--profile"], **grouped(given))  # fmt: skip
    assert again.digest == spec.digest


def tiny(seeds: int = 2) -> Study:
    return Study.product("Tiny table", datasets=["karate"], archs=["gcn"], methods=["fp32", "qat", "dq"], bits=[4],
                         seeds=range(seeds), epochs=2)  # fmt: skip


def test_an_empty_ledger_names_every_cell(home: Path) -> None:
    part = Reproduction.of("karate", tiny(), Ledger().runs())
    text = document([Made.of(part)])
    assert "**Incomplete.** Of 6 runs, these are missing:" in text
    assert "- GCN Degree-Quant INT4: 0 of 2 seeds (2 not started)" in text
    assert "| GCN | FP32 | FP32 | – | – | 0 | 0 | – | – | not run | 0 |" in text
    assert "the test split read once a run" in text


def test_runs_come_in_the_order_of_their_cells(home: Path) -> None:
    ledger = Ledger()
    ledger.submit(Study(name="backwards", runs=tuple(reversed(tiny().runs))))
    part = Reproduction.of("karate", tiny(), ledger.runs())
    assert [(run.method, run.seed) for run in part.runs] == list(product(["fp32", "qat", "dq"], [0, 1]))


def test_runs_of_other_settings_and_of_search_seeds_are_left_out(home: Path) -> None:
    ledger = Ledger()
    spec = tiny().runs[0]
    others = [spec.model_copy(update={"seed": 1000}), spec.model_copy(update={"epochs": 3}),
              spec.model_copy(update={"seed": 7})]  # fmt: skip
    ledger.submit(Study(name="others", runs=tuple(others)))
    part = Reproduction.of("karate", tiny(), ledger.runs())
    assert [run.seed for run in part.runs] == [7]
    more = part.more([("karate", "gcn", "dq", 4)], 3)
    assert more is not None
    assert {(one.method, one.seed) for one in more.runs} == {("dq", 0), ("dq", 1), ("dq", 2)}
    assert part.more([], 30) is None


@pytest.fixture
def made(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny table instead of Cora's, trained; assets in a folder of the test."""
    monkeypatch.setattr(reproduce, "table", lambda *_: tiny())
    monkeypatch.setattr(reproduce, "assets_dir", lambda: tmp_path / "assets")
    return tmp_path / "reproduction.md"


@pytest.mark.slow
def test_the_command_trains_what_is_missing_and_writes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["reproduce", "--datasets", "cora", "--out", str(made), "--json"]
    assert main([*arguments, "--only-write"]) == 1
    assert "3 cells are not complete" in capsys.readouterr().err
    assert "0 of 2 seeds" in made.read_text()
    assert main([*arguments, "--keep"]) == 0
    cells = json.loads(capsys.readouterr().out)
    assert {(cell["method"], cell["n"]) for cell in cells} == {("fp32", 2), ("qat", 2), ("dq", 2)}
    text = made.read_text()
    assert "All 6 runs of the preset have finished." in text
    assert "too few paired seeds for a verdict (2, at least 5)" in text
    assert (made.parent / "assets" / "studies" / "dq-cora" / "runs.parquet").is_file()
    attempts = {run.run_id: run.attempt for run in Ledger().runs()}
    assert main(arguments) == 0
    assert {run.run_id: run.attempt for run in Ledger().runs()} == attempts, "nothing was trained again"


@pytest.mark.slow
def test_a_table_can_be_made_in_parts(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the runs kept, then another ledger: it trains the other half, and both are kept."""
    monkeypatch.setattr(store_of_runs, "assets_dir", lambda: made.parent / "assets")
    arguments = ["reproduce", "--datasets", "cora", "--out", str(made), "--json", "--keep"]
    whole = tiny()
    first = {run.digest for run in whole.runs[:3]}
    monkeypatch.setattr(reproduce, "table", lambda *_: Study(name=whole.name, runs=whole.runs[:3]))
    assert main(arguments) == 0
    monkeypatch.setattr(reproduce, "table", lambda *_: whole)
    monkeypatch.setenv("DQVIZ_HOME", str(made.parent / "another machine"))
    assert main([*arguments, "--missing"]) == 0
    assert {run.run_id for run in Ledger().runs()} == {run.digest for run in whole.runs} - first
    assert "All 6 runs of the preset have finished." in made.read_text()
    kept = pd.read_parquet(made.parent / "assets" / "studies" / "dq-cora" / "runs.parquet")
    assert set(kept.run_id) == {run.digest for run in whole.runs}
    capsys.readouterr()
    assert main([*arguments, "--missing"]) == 0, "nothing is left to train"


def test_a_folder_that_is_not_there_is_bad_input(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--out", "nowhere/at/all.md"]) == 2
    for datasets in ("karate", "", ","):
        assert main(["reproduce", "--datasets", datasets, "--only-write", "--out", "x.md"]) == 2
        assert "citeseer" in capsys.readouterr().err


def test_the_file_in_docs_keeps_the_tables_that_were_not_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(reproduce, "package_dir", lambda: tmp_path / "dqviz")
    assert main(["reproduce", "--datasets", "mnist", "--only-write"]) == 1
    lines = (tmp_path / "docs" / "reproduction.md").read_text().splitlines()
    *heads, last = [line for line in lines if line[:3] == "## "]
    assert [head.split(", ")[-1] for head in heads] == ["CiteSeer", "Cora", "MNIST superpixels", "REDDIT-BINARY"]
    assert last == "## Tables of which nothing is trained here"
    assert lines[-1] == "- Degree-Quant table, PubMed: `dqviz reproduce --datasets pubmed`"


def test_who_asks_for_more_seeds() -> None:
    """Whose own spread is wide, and whoever is paired with such a cell; not what has not run, nor other widths."""
    wide, narrow = [0.70, 0.80, 0.90], [0.80, 0.80, 0.81]
    cells_of_table = {("fp32", 32): narrow, ("qat", 8): narrow, ("qat", 4): narrow, ("nqat", 4): wide,
                      ("dq", 8): narrow, ("dq", 4): narrow * 10}  # fmt: skip
    results = [result(("cora", "gcn", *key), rows(values)) for key, values in cells_of_table.items()]
    assert [one.key[2:] for one in asking(results)] == [("nqat", 4)], "Degree-Quant has its 30"
    results[-1] = result(("cora", "gcn", "dq", 4), rows(wide * 10))
    assert [one.key[2:] for one in asking(results)] == [("fp32", 32), ("qat", 4), ("nqat", 4)]
    results.append(result(("cora", "gcn", "ptq", 4), []))
    assert len(asking(results)) == 3


def test_folds_are_not_seeds_to_have_more_of() -> None:
    part = Reproduction.of("reddit-binary", table("reddit-binary"), [])
    key = ("reddit-binary", "gin", "dq", 8)
    made = Made(part, (result(key, rows([0.7, 0.8, 0.9])),))
    assert made.results[0].wide
    assert made.asking == []


def test_presets_of_tables_begin_alike() -> None:
    assert {"cora", "citeseer", "pubmed", "reddit-binary"} <= set(reproducing.tables())


def test_a_cell_tells_its_trials() -> None:
    part = Reproduction.of("cora", table("cora"), [])
    key = ("cora", "gcn", "dq", 8)
    assert part.trials(key) == cells("cora")[key[1:]].found.spent > 0
    assert part.trials(("cora", "gcn", "a2q", 8)) == 0
