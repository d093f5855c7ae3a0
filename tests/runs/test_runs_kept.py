"""Kept studies: packed, read back as they were, small, and behind the same door as the ledger and the demo."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from runs_tools import study

from dqviz.columns import TABLES
from dqviz.errors import BadInput, Diverged, Unavailable
from dqviz.runs import kept
from dqviz.runs.job import Job
from dqviz.runs.ledger import Claim, Ledger
from dqviz.runs.store import Store
from dqviz.spec import MeasureSpec

SEEDS = 3


def frame(name: str, value: float) -> pd.DataFrame:
    """Two rows of a table, so that the order of rows is seen."""
    return pd.DataFrame({str(column): [value, value + 0.5] for column in TABLES[name]})


@pytest.fixture
def study_id(ledger: Ledger) -> str:
    """A study of three seeds, one of which failed."""
    found = ledger.submit(study(SEEDS + 1, "Three seeds"))
    for _ in range(SEEDS + 1):
        claim = ledger.claim("test", free=99)
        assert isinstance(claim, Claim)
        with Job.open(claim.run_id, 1) as job:
            finish(job, claim.spec.seed)
    return found


def finish(job: Job, seed: int) -> None:
    if seed == SEEDS:
        raise Diverged("the loss became nan.")
    for name in ("accuracy", "degree", "nodes"):
        job.staging.write_table(name, frame(name, seed))
    job.staging.write_json("provenance", {"seed": seed})
    job.finish({"test_accuracy": 0.7 + seed / 100, "wall_s": 1.0})


@pytest.fixture
def folder(ledger: Ledger, study_id: str, tmp_path: Path) -> Path:
    target = tmp_path / "assets" / "studies" / "three"
    store = Store(ledger, demo=tmp_path / "assets" / "demo")
    kept.pack(store, store.study(study_id).name, store.runs(study_id), target)
    return target


def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The same checkout on a machine that has trained nothing."""
    monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / "fresh"))
    return Store(Ledger(), demo=tmp_path / "assets" / "demo")


def test_finished_runs_come_back_as_they_were(
    folder: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {row.run_id: row for row in ledger.runs() if row.state == "finished"}
    store = fresh(tmp_path, monkeypatch)
    (shown,) = store.studies()
    assert (shown.study_id, shown.name, shown.total, shown.demo) == ("three", "Three seeds", 3, True)
    assert store.study("three").finished == SEEDS
    rows = store.runs("three")
    assert {row.run_id for row in rows} == set(before)
    assert all(row.row() == before[row.run_id].row() for row in rows)
    assert all(row.spec == before[row.run_id].spec and row.settled for row in rows)
    assert store.run(rows[0].run_id) == rows[0]
    assert store.json(rows[1].run_id, "provenance") == {"seed": rows[1].seed}


def test_tables_of_all_seeds_and_of_the_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fresh(tmp_path, monkeypatch)
    for row in store.runs("three"):
        read = store.table(row.run_id, "accuracy")
        pd.testing.assert_frame_equal(read, frame("accuracy", row.seed), check_dtype=False)
        assert list(map(str, TABLES["accuracy"])) == list(read.columns)
        assert store.has(row.run_id, "degree") == (row.seed == 0)
        assert not store.has(row.run_id, "nodes")
        assert not store.has(row.run_id, "latency")
        for ask, name in ((store.table, "nodes"), (store.json, "integer")):
            with pytest.raises(Unavailable, match="The studies that come with dqviz leave out"):
                ask(row.run_id, name)


def test_a_run_of_two_kept_studies_has_the_tables_of_both(
    folder: Path, ledger: Ledger, study_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = folder.with_name("two")
    kept.pack(Store(ledger, demo=tmp_path / "assets" / "demo"), "Later", ledger.runs(study_id), later)
    (folder / "degree.parquet").unlink()
    (later / "accuracy.parquet").unlink()
    store = fresh(tmp_path, monkeypatch)
    first = next(row.run_id for row in store.runs("three") if row.seed == 0)
    for name in ("degree", "accuracy"):
        assert store.has(first, name)
        pd.testing.assert_frame_equal(store.table(first, name), frame(name, 0), check_dtype=False)


def test_timings_are_kept_with_the_run_they_timed(
    ledger: Ledger, study_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = next(row.run_id for row in ledger.runs(study_id, ["finished"]))
    measure = ledger.submit_measure(MeasureSpec(target=target))
    assert ledger.claim("test", free=99) is not None
    with Job.open(measure, 1) as job:
        job.staging.write_table("latency", frame("latency", 2.0))
        job.finish({"cpu": "a processor", "instructions": "avx2"})
    assert Store(ledger).timing(target)["cpu"] == "a processor"
    kept.pack(Store(ledger), "Timed", ledger.runs(study_id), tmp_path / "assets" / "studies" / "timed")
    store = fresh(tmp_path, monkeypatch)
    assert [row.run_id for row in store.runs("timed") if store.has(row.run_id, "latency")] == [target]
    assert store.table(target, "latency")["median_ms"].tolist() == [2.0, 2.5]
    kept_with_it = store.timing(target)
    assert [kept_with_it[name] for name in ("threads", "cpu", "instructions")] == [2, "a processor", "avx2"]
    assert all(store.timing(row.run_id) == {} for row in store.runs("timed") if row.run_id != target)


def test_scores_alone_have_no_tables_of_first_seeds(
    ledger: Ledger, study_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.pack(Store(ledger), "Scores", ledger.runs(study_id), tmp_path / "assets" / "studies" / "scores",
              scores_only=True)  # fmt: skip
    store = fresh(tmp_path, monkeypatch)
    first = next(row for row in store.runs("scores") if row.seed == 0)
    assert store.has(first.run_id, "accuracy")
    assert not any(store.has(first.run_id, name) for name in kept.OF_FIRST_SEED)
    assert first.summary["test_accuracy"]


def test_the_ledger_comes_first(folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    store = Store(ledger, demo=tmp_path / "assets" / "demo")
    assert len(store.runs()) == len(ledger.runs())
    assert store.has(store.runs("three")[0].run_id, "nodes"), "the run itself is here, with all its tables"


def test_a_study_packed_anew_replaces_the_old(folder: Path, ledger: Ledger, study_id: str, tmp_path: Path) -> None:
    store = Store(ledger, demo=tmp_path / "assets" / "demo")
    kept.pack(store, "Renamed", store.runs(study_id)[:1], folder)
    assert [(one.name, one.total) for one in store.studies() if one.demo] == [("Renamed", 1)]
    assert [path.name for path in folder.parent.iterdir()] == ["three"]


def test_what_cannot_be_kept_leaves_the_old(folder: Path, ledger: Ledger, study_id: str, tmp_path: Path) -> None:
    store = Store(ledger, demo=tmp_path / "assets" / "demo")
    rows = store.runs(study_id)
    with pytest.raises(BadInput, match="no finished run"):
        kept.pack(store, "x", [row for row in rows if row.state == "failed"], folder)
    with pytest.raises(BadInput, match="the budget is 100"):
        kept.pack(store, "x", rows, folder, budget_bytes=100)
    with pytest.raises(BadInput, match="demo"):
        kept.pack(store, "x", rows, folder.with_name("demo"))
    assert [one.name for one in store.studies() if one.demo] == ["Three seeds"]


def test_the_checkout_shows_its_demo_first_and_its_kept_tables_fill_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo has every table and timings; a kept study in its place left Latency and Ranges empty at first sight."""
    monkeypatch.setenv("DQVIZ_HOME", str(tmp_path))
    store = Store(Ledger())
    assert [study.study_id for study in store.studies()] == [
        "demo",
        "ablation",
        "depth-cora",
        "dq-citeseer",
        "dq-cora",
        "dq-reddit-binary",
        "lowbit-citeseer",
        "lowbit-cora",
        "lowbit-latency",
        "node-bits",
        "observers",
        "one-site",
    ]
    learned = next(row for row in store.runs("node-bits") if row.seed == 0 and row.method == "a2q")
    assert all(store.has(learned.run_id, name) for name in ("widths", "sites"))
    first = next(row for row in store.runs("dq-cora") if row.seed == 0 and row.method == "dq")
    of_all_methods = set(kept.OF_FIRST_SEED) - {"widths", "sites"}  # kept since there are studies that show them
    assert all(store.has(first.run_id, name) for name in of_all_methods)


def test_a_study_packed_before_timings_were_told_has_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = pd.read_parquet(folder / "runs.parquet").drop(columns="timing")
    older.to_parquet(folder / "runs.parquet")
    store = fresh(tmp_path, monkeypatch)
    run_id = store.runs("three")[0].run_id
    assert store.timing(run_id) == {}
    assert not store.has(run_id, "timing")
