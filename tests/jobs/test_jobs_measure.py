"""A measurement times the bit widths of a network in the same rounds and leaves one table with its target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jobs_runs import execute, row_of, spec

from dqviz.columns import TABLES
from dqviz.errors import Cancelled
from dqviz.integer.kernels.native import Native
from dqviz.jobs import measure
from dqviz.jobs.__main__ import main
from dqviz.runs.artifacts import read_json
from dqviz.runs.ledger import Ledger
from dqviz.runs.store import Store
from dqviz.spec import MeasureSpec


def test_widths_are_timed_together(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PATIENCE_S", 0.0)  # a test machine is never idle
    eight, four = (execute(spec(method="qat", bits=bits)) for bits in (8, 4))
    ledger = Ledger()
    run_id = ledger.submit_measure(
        MeasureSpec(target=eight.run_id, beside=(four.run_id,), threads=1, repeats=5, graphs=())
    )
    claim = ledger.claim("test", free=99)
    assert claim is not None
    assert claim.run_id == run_id
    assert main(run_id, str(claim.attempt)) == 0, row_of(run_id).error
    table = Store(ledger).table(eight.run_id, "latency")
    assert tuple(table.columns) == TABLES["latency"]
    assert set(table.loc[table["op"] == "gcn", "precision"]) == {"fp32", "int8", "int4"}
    assert table.loc[table["precision"] != "fp32", "exact"].all()
    whole = table[table["op"] == "gcn"]
    assert whole["accuracy"].between(0, 1).all()
    int8 = whole.loc[whole["precision"] == "int8", "accuracy"].iloc[0]
    assert int8 == pytest.approx(eight.summary["test_accuracy_integer"])
    summary = row_of(run_id).summary
    assert summary["native"] == Native.missing()
    assert summary["cpu"] == read_json(row_of(run_id).folder, "machine")["cpu"] != ""
    assert {"load_1min", "load_after", "torch"} <= set(read_json(row_of(run_id).folder, "machine"))


def test_a_measurement_waits_until_the_machine_is_quiet_or_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "idle", lambda: False)
    monkeypatch.setattr(measure, "PATIENCE_S", 0.0)
    assert measure.wait_for_idle(lambda: False) is False
    monkeypatch.setattr(measure, "PATIENCE_S", 60.0)
    with pytest.raises(Cancelled):
        measure.wait_for_idle(lambda: True)
    monkeypatch.setattr(measure, "idle", lambda: True)
    assert measure.wait_for_idle(lambda: True) is True


def test_what_was_left_out_is_told_once() -> None:
    rows: list[dict[str, Any]] = [{"exact": None}, {"exact": True}]
    told = measure.summary(rows, busy=False, cpu="a", notes=["x", "y", "x"])
    assert told["notes"] == ["x", "y"]
    assert told["exact"] is True
    assert measure.summary([*rows, {"exact": False}], False, "a", [])["exact"] is False
