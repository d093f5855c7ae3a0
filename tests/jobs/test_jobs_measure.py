"""A measurement times the bit widths of a network in the same rounds and leaves one table with its target."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs_runs import execute, row_of, spec

from dqviz.columns import TABLES
from dqviz.jobs import measure
from dqviz.jobs.__main__ import main
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
