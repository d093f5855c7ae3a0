"""The store: the ledger's studies and the demo behind one door."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from runs_tools import claimed, study

from dqviz.columns import TABLES
from dqviz.errors import BadInput, Unavailable
from dqviz.runs import demo
from dqviz.runs.job import Job
from dqviz.runs.ledger import Ledger
from dqviz.runs.store import Store
from dqviz.spec import MeasureSpec


def table(name: str, value: float) -> pd.DataFrame:
    return pd.DataFrame({str(column): [value] for column in TABLES[name]})


def finished(ledger: Ledger, seed: int, model_bytes: int = 10) -> str:
    claim = claimed(ledger, seed)
    with Job.open(claim.run_id, 1) as job:
        job.staging.write_table("metrics", table("metrics", seed))
        job.staging.path("model.safetensors").write_bytes(b"x" * model_bytes)
        job.finish({"test_accuracy": 0.8, "wall_s": 1.0})
    return claim.run_id


def measured(ledger: Ledger, target: str, value: float, repeats: int = 30) -> None:
    run_id = ledger.submit_measure(MeasureSpec(target=target, repeats=repeats))
    assert ledger.claim("test") is not None
    with Job.open(run_id, 1) as job:
        job.staging.write_table("latency", table("latency", value))
        job.finish({})


@pytest.fixture
def store(ledger: Ledger, tmp_path: Path) -> Store:
    return Store(ledger, demo=tmp_path / "demo")


def test_without_a_demo_there_is_only_the_ledger(store: Store) -> None:
    assert store.studies() == []
    assert store.runs() == []
    with pytest.raises(BadInput, match="Unknown study 'demo'"):
        store.runs("demo")
    with pytest.raises(BadInput, match="There is no run 'x'"):
        store.table("x", "metrics")


def test_tables_of_a_finished_run(store: Store, ledger: Ledger) -> None:
    run_id = finished(ledger, 1)
    assert store.has(run_id, "metrics")
    assert store.has(run_id, "summary")
    assert not store.has(run_id, "nodes")
    assert store.table(run_id, "metrics")["epoch"].tolist() == [1]
    assert store.json(run_id, "spec")["seed"] == 1
    with pytest.raises(Unavailable, match=r"This run has no nodes\.parquet"):
        store.table(run_id, "nodes")


def test_live_metrics_until_the_run_is_finished(store: Store, ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.beat(claim, [{"epoch": 0, "loss_train": 2.0}])
    assert store.metrics(claim.run_id)["loss_train"].tolist() == [2.0]


def test_the_newest_measurement_is_the_latency_of_its_target(store: Store, ledger: Ledger) -> None:
    run_id = finished(ledger, 1)
    assert not store.has(run_id, "latency")
    measured(ledger, run_id, 1.0)
    measured(ledger, run_id, 2.0, repeats=31)
    assert store.table(run_id, "latency")["median_ms"].tolist() == [2.0]


def test_the_demo_is_a_copy_that_reads_the_same(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    run_id = finished(ledger, 1)
    measured(ledger, run_id, 3.0)
    study_id = ledger.submit(study(3, "shown"))
    size = demo.export(store, study_id, tmp_path / "demo")
    assert size < demo.BUDGET_BYTES
    assert [(row.study_id, row.demo, row.total) for row in store.studies()][-1] == ("demo", True, 1)
    shown = store.runs("demo")[0]
    assert shown.row() == ledger.run(run_id).row()
    assert shown.spec == ledger.run(run_id).spec
    assert shown.settled
    assert len(store.runs()) == len(ledger.runs()), "the same run is not listed twice"


def test_the_demo_alone_on_a_fresh_machine(
    store: Store, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = finished(ledger, 1)
    measured(ledger, run_id, 3.0)
    demo.export(store, ledger.submit(study(3, "shown")), tmp_path / "demo")
    monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / "fresh"))
    fresh = Store(Ledger(), demo=tmp_path / "demo")
    assert fresh.study("demo").name == "shown"
    assert fresh.run(run_id).test_accuracy == 0.8
    assert fresh.metrics(run_id)["epoch"].tolist() == [1]
    assert fresh.table(run_id, "latency")["median_ms"].tolist() == [3.0]
    assert fresh.timing(run_id) == store.timing(run_id)
    assert fresh.timing(run_id)["threads"] == 2
    fresh.ledger.submit(study(3, "the same runs, still queued"))
    assert fresh.run(run_id).state == "finished", "what is shipped is shown until the own run is there"
    assert [row.state for row in fresh.runs() if row.run_id == run_id] == ["finished"], "in the list of all as well"
    fresh.ledger.close()


def test_a_demo_over_budget_leaves_its_models_out_or_is_refused(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    finished(ledger, 1, model_bytes=100_000)
    study_id = ledger.submit(study(2))
    size = demo.export(store, study_id, tmp_path / "demo", budget_bytes=50_000)
    assert size < 50_000
    assert not list(tmp_path.glob("demo/runs/*/model.safetensors"))
    with pytest.raises(BadInput, match=r"without its models takes [0-9,]+ bytes; the budget is 100\."):
        demo.export(store, study_id, tmp_path / "demo", budget_bytes=100)
    with pytest.raises(BadInput, match="has no finished run to export"):
        demo.export(store, ledger.submit(study(1, "none", first=8)), tmp_path / "demo")
