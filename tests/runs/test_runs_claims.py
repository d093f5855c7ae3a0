"""6 processes and 1,000 jobs: each job has one holder, and nobody meets a lock error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs_tools import HERE, study

from dqviz.runs.ledger import Ledger

PROCESSES, JOBS = 6, 1_000


def contest(ledger: Ledger, home: Path, how: str, jobs: int) -> tuple[list[str], int]:
    """Run ids in the order they were given out, by all processes together, and the lock errors they met."""
    ledger.submit(study(jobs))
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / "claimer.py"), how]
    processes = [
        subprocess.Popen([*command, str(number), str(home / "ledger.db")], env=environment, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(PROCESSES)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [json.loads(process.communicate()[0]) for process in processes]
    return [run for answer in answers for run in answer["claims"]], sum(answer["lock_errors"] for answer in answers)


@pytest.mark.fault
def test_no_job_is_claimed_twice(ledger: Ledger, home: Path, record_property: object) -> None:
    claims, lock_errors = contest(ledger, home, "ledger", JOBS)
    figures = {"claims": len(claims), "double": len(claims) - len(set(claims)), "lock_errors": lock_errors}
    print(figures)
    record_property("figures", figures)  # type: ignore[operator]
    assert figures == {"claims": JOBS, "double": 0, "lock_errors": 0}
    assert {row.state for row in ledger.runs()} == {"running"}


@pytest.mark.fault
def test_the_harness_sees_double_claims_of_a_naive_queue(ledger: Ledger, home: Path, record_property: object) -> None:
    claims, _ = contest(ledger, home, "naive", 200)
    double = len(claims) - len(set(claims))
    print({"naive_double": double})
    record_property("naive_double", double)  # type: ignore[operator]
    assert double > 0
