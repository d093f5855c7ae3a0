"""Whole runs in this process: spec into a ledger, job claimed, executed, artifacts on disk."""

from __future__ import annotations

from typing import Any

from dqviz.jobs.__main__ import main
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import RunRow
from dqviz.spec import RunSpec, Study, make_spec


def spec(arch: str = "gcn", method: str = "dq", **values: Any) -> RunSpec:
    return make_spec(**{"dataset": "karate", "arch": arch, "method": method, "bits": 4, "epochs": 3, **values})


def submitted(spec: RunSpec) -> tuple[str, int]:
    """(run_id, attempt) of a run that is claimed and waits for its job."""
    with_ledger = Ledger()
    with_ledger.submit(Study(name="a study", runs=(spec,)))
    claim = with_ledger.claim("test", free=99)
    with_ledger.close()
    assert claim is not None
    return claim.run_id, claim.attempt


def execute(spec: RunSpec) -> RunRow:
    """The run's row after its job ended."""
    run_id, attempt = submitted(spec)
    code = main(run_id, str(attempt))
    row = row_of(run_id)
    assert (code == 0) == (row.state == "finished"), row.error
    return row


def row_of(run_id: str) -> RunRow:
    ledger = Ledger()
    try:
        return ledger.run(run_id)
    finally:
        ledger.close()
