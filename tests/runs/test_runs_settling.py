"""What becomes of a run whose process ended without a word."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from runs_tools import claimed

from dqviz.runs import memory
from dqviz.runs.engines import ENGINES, Ended
from dqviz.runs.ledger import Ledger
from dqviz.runs.settling import settle


@pytest.mark.parametrize(
    ("code", "for_memory", "state", "error"),
    [
        (-signal.SIGKILL, False, "interrupted", "The job's process was killed by SIGKILL."),
        (-signal.SIGSEGV, False, "interrupted", "The job's process was killed by SIGSEGV."),
        (None, False, "interrupted", "The job's process is gone."),
        (0, False, "interrupted", "The job's process ended with code 0 before it had finished."),
        (1, False, "failed", "The job's process ended with code 1 before it had finished."),
        (-signal.SIGKILL, True, "failed", "out of memory: killed by the kernel, the job's peak was 1,024 MiB"),
    ],
)
def test_by_what_is_known(ledger: Ledger, code: int | None, for_memory: bool, state: str, error: str) -> None:
    claim = claimed(ledger)
    assert settle(ledger, Ended(claim, code, 2**30, for_memory)) == state
    row = ledger.run(claim.run_id)
    assert (row.state, row.error) == (state, error)
    assert ledger.attempts(claim.run_id)[0]["peak_bytes"] == 2**30
    assert bool(ledger.pending_retries()) is (state == "interrupted")
    assert settle(ledger, Ended(claim, code, 2**30, for_memory)) is None


def test_half_written_results_are_swept_away(ledger: Ledger) -> None:
    claim = claimed(ledger)
    half = claim.folder / ".artifacts.staging-123"
    half.mkdir(parents=True)
    (half / "nodes.parquet").write_text("half")
    settle(ledger, Ended(claim, -9, None, killed_for_memory=False))
    assert not half.exists()


def test_the_kernel_counts_what_it_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, absent = tmp_path / "memory.events", tmp_path / "absent"
    events.write_text("low 0\nhigh 4\nmax 7\noom 3\noom_kill 2\n")
    monkeypatch.setattr(memory, "_COUNTERS", (events, absent))
    assert memory.oom_kills() == 2
    assert memory.in_words(None) == "unknown"


def test_engines_are_registered_by_name() -> None:
    assert ENGINES.names() == ["local"]
