"""docs/lowbit.md and the report's table: written from a ledger, complete or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_ledger import make

from dqviz.cli import main, reproduce
from dqviz.report import gather
from dqviz.report.low_bit import MadeLowBit, document
from dqviz.runs import tuned
from dqviz.runs.latencies import latencies
from dqviz.runs.ledger import Ledger
from dqviz.runs.presets import preset
from dqviz.runs.reproducing import LATENCY, LOW_BIT, Reproduction, tables
from dqviz.runs.store import Store
from dqviz.spec import Study

METHODS = ["fp32", "dq", "topgq", "sgquant"]
SEEDS = 5


def study(dataset: str = "cora", methods: list[str] = METHODS, seeds: int = SEEDS, bits: int = 8) -> Study:
    return Study.product("Below 8 bits, small", datasets=[dataset], archs=["gcn"], methods=methods, bits=[bits],
                         seeds=range(seeds), epochs=2)  # fmt: skip


def made(store: Store, whole: Study, timed: Study | None = None) -> MadeLowBit:
    """`timed`: the study that tells latencies."""
    part = Reproduction.of("cora", whole, store.runs(), LOW_BIT)
    known = latencies(part.specs, timed or whole, store.runs(), store.with_costs)
    return MadeLowBit.with_costs(part, store.with_costs(part.runs), known)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    """Every run finished but one; the last one, sgquant of the last seed, is timed."""
    whole = study()
    lost = next(run.digest for run in whole.runs if run.method == "sgquant" and run.seed == 0)
    return make(tmp_path_factory.mktemp("low-bit"), whole, fail=[lost])


@pytest.fixture(scope="module")
def text(store: tuple[Store, str]) -> str:
    return document([made(store[0], study())])


def cells(text: str, method: str, heading: str) -> list[str]:
    """The line of a method below a heading."""
    lines = text.split(f"### {heading}")[1].split("###", maxsplit=1)[0].splitlines()
    return next([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if f"| {method} |" in line)


def test_a_cell_tells_bits_sizes_what_was_published_and_degree_quant(text: str) -> None:
    """Accuracy of the made-up runs is the same for every method of a width: 0.8 - 0.4 / 8 + seed / 100 - 0.01."""
    trials = tuned.cells("cora")["gcn", "topgq", 8].found.spent
    assert cells(text, "TopGQ", "Cells") == [
        "", "TopGQ", "INT8", "76.0 ± 1.6", "5", str(trials), "8", "8", "8", "4", "-", "80.0 [S]", "inductive split",
        "+0.0 (+0.0 to +0.0, 5 pairs): no difference can be called", "8",
    ]  # fmt: skip


def test_latency_stands_where_the_integer_run_was_measured(text: str, store: tuple[Store, str]) -> None:
    """`make` times the last run; report_ledger's table has 1 ms for a whole GCN in INT8."""
    timed = [run for run in store[0].runs(store[1]) if store[0].has(run.run_id, "latency")]
    assert [run.method for run in timed] == ["sgquant"]
    assert cells(text, "SGQuant", "Cells")[10] == "1"


def test_latency_is_that_of_the_same_network_in_profile_integer(tmp_path: Path) -> None:
    """The last run of the other study is timed: 1 ms; one has failed, one has another width, one is not there."""
    kinds = ["fp32", "dq", "topgq", "qlr"]
    whole = study(methods=["sgquant", *kinds], seeds=1)
    other = Study.product("Timed", datasets=["cora"], archs=["gcn"], methods=kinds, bits=[8], seeds=[0], epochs=2,
                          profile="integer")  # fmt: skip
    wide = other.runs[2].model_copy(update={"arch_settings": {"hidden": 64}})
    other = Study(name="Timed", runs=(*other.runs[:2], wide, other.runs[3]))
    both = Study(name="Both", runs=(*whole.runs, *other.runs))
    own = make(tmp_path, both, fail=[other.runs[1].digest])[0]
    text = document([made(own, whole, other)])
    assert cells(text, "QLR", "Cells")[10] == "1"
    assert [cells(text, name, "Cells")[10] for name in ("Degree-Quant", "TopGQ", "SGQuant")] == ["-", "-", "-"]
    reasons = text.split("No latency:")[1].split("###", maxsplit=1)[0]
    assert "- GCN SGQuant INT8, GCN TopGQ INT8: preset `lowbit-latency` has no such run." in reasons
    assert "- GCN Degree-Quant INT8: its run of preset `lowbit-latency` has not finished." in reasons
    assert "- GCN FP32: no timing of preset `lowbit-latency` has a program of this width (`dqviz measure" in reasons
    assert "QLR" not in reasons
    tuned = other.runs[3].model_copy(update={"arch_settings": {"dropout": 0.1}})
    text = document([made(own, whole, Study(name="Timed", runs=(*other.runs[:3], tuned)))])
    assert cells(text, "QLR", "Cells")[10] == "1", "how a network was trained does not change its time"


def test_claims_that_fail_are_shown_failing(text: str) -> None:
    line = cells(text, "TopGQ", "Published claims under this protocol")
    assert line[6] == "fails: lower than reported: the reported mean lies above our interval"
    assert line[7:] == ["+3.8 (+3.8 to +3.8)", "+0.2 [S]", "fails: at least 3.8 points are lost here"]
    few = cells(text, "SGQuant", "Published claims under this protocol")
    assert few[4] == "–"
    assert few[-2:] == ["+0.4 [E]", "no verdict: reported as an average over networks whose widths were chosen"]


def test_what_has_no_cell_is_told_all_the_same(text: str) -> None:
    lines = text.split("### Published without a cell here")[1].split("###", maxsplit=1)[0]
    assert "| A2Q | 1.7 | 80.9 ± 0.6 [M] | 79.3 ± 1.0, 4 seeds | the epoch of the best test accuracy is kept |" in lines
    assert "Degree-Quant inside" in lines
    assert "| TopGQ | INT8 |" not in lines
    assert "| TopGQ | INT4 | 78.8 [S] | – | inductive split |" in lines


def test_what_is_missing_and_how_to_train_it(text: str) -> None:
    assert "- GCN SGQuant INT8: 4 of 5 seeds (1 failed: ValueError: no reason" in text
    assert "dqviz study start --preset lowbit-cora --wait" in text
    assert "dqviz train --dataset cora --arch gcn --method topgq --bits 8 --seed 0 --epochs 2" in text


def test_an_empty_ledger_has_a_document(home: Path) -> None:
    text = document([made(Store(Ledger()), study())])
    assert cells(text, "TopGQ", "Cells")[3:5] == ["–", "0"]
    assert cells(text, "SGQuant", "Cells")[6:11] == ["–", "–", "–", "–", "-"]


def test_a_report_of_the_study_holds_the_same_table(store: tuple[Store, str]) -> None:
    report = gather(*store, ["methods"])
    (table,) = (table for table in report.tables() if table.name == "low-bit")
    topgq = table.frame.set_index("method").loc["TopGQ"]
    assert topgq["reported_note"] == "inductive split"
    assert topgq["verdict"].startswith("No difference between TopGQ INT8 and Degree-Quant INT8 can be called")


@pytest.mark.slow
def test_the_command_trains_and_writes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real runs: bits are those of the trained networks (SGQuant's weights stay float)."""
    monkeypatch.setattr(reproduce, "table", lambda *_: study("karate", ["fp32", "dq", "sgquant"], 1, 4))
    monkeypatch.setattr(reproduce, "assets_dir", lambda: tmp_path / "assets")
    arguments = ["reproduce", "--table", "lowbit", "--datasets", "cora", "--out", str(tmp_path / "lowbit.md")]
    assert main([*arguments, "--keep", "--json"]) == 0
    found = {cell["method"]: cell for cell in json.loads(capsys.readouterr().out)}
    assert found["dq"]["feature_bits"] == found["dq"]["tensor_bits"] == 4
    assert found["sgquant"]["tensor_bits"] > 4
    assert found["sgquant"]["to_dq_verdict"].startswith("No difference between SGQuant INT4, GCN and Degree-Quant INT4")
    assert found["fp32"]["to_dq"] is None
    assert "All 3 runs of the preset have finished." in (tmp_path / "lowbit.md").read_text()
    assert (tmp_path / "assets" / "studies" / "lowbit-cora" / "runs.parquet").is_file()


def test_the_preset_of_latencies_is_no_data_set() -> None:
    assert tables(LOW_BIT) == ["citeseer", "cora", "pubmed"]
    assert {spec.profile for spec in preset(LATENCY).runs} == {"integer"}


def test_every_cell_on_cora_has_a_run_of_its_shape_in_the_preset_of_latencies(home: Path) -> None:
    part = Reproduction.of("cora", preset("lowbit-cora"), [], LOW_BIT)
    found = latencies(part.specs, preset(LATENCY), [], lambda runs: [{} for _ in runs])
    assert set(found.values()) == {"its run of preset `lowbit-latency` has not finished"}


def test_a_table_nobody_wrote_lists_the_choices(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--table", "nope", "--only-write"]) == 2
    assert "dq, lowbit" in capsys.readouterr().err
