"""How a job ends: each way is one state and one clear sentence, with the traceback in the log."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from runs_tools import FAKE, claimed, pid_of, study, wait_until, work

from dqviz.errors import Stale
from dqviz.runs import artifacts
from dqviz.runs.engines import Local
from dqviz.runs.job import Job, sentence
from dqviz.runs.ledger import Ledger
from dqviz.runs.worker import Worker

MEMORY_BYTES = 200 << 20


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ("diverge", "diverged at epoch 3"),
        ("bad input", "Unknown data set 'x'; choose one of: y."),
        ("raise", "ZeroDivisionError: division by zero"),
        ("no result", "The job ended without a result."),
        ("crash", "The job's process ended with code 3 before it had finished."),
    ],
)
def test_a_failure_is_one_sentence_and_is_not_retried(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, behaviour: str, error: str
) -> None:
    monkeypatch.setenv("FAKE_BEHAVIOUR", behaviour)
    ledger.submit(study(1))
    work(ledger)
    row = ledger.runs()[0]
    assert (row.state, row.attempt, row.error) == ("failed", 1, error)
    if behaviour == "raise":
        assert "Traceback" in "\n".join(ledger.log_tail(row.run_id))


def test_a_program_that_does_not_start_is_a_failure_with_its_last_words(ledger: Ledger) -> None:
    ledger.submit(study(1))
    worker = Worker(ledger, "local", ["/bin/sh", "-c", "echo no such module; exit 1"])
    wait_until(lambda: ledger.runs()[0].settled, worker.step)
    assert ledger.runs()[0].error.endswith("with code 1 before it had finished. Its last words: no such module")
    ledger.retry(ledger.runs()[0].run_id)
    Worker(ledger, "local", ["/does/not/exist"]).step()
    assert ledger.runs()[0].error == "The job could not be started: No such file or directory."


@pytest.mark.parametrize(("behaviour", "grace_s"), [("", 1e9), ("deaf", 0.2)])
def test_a_cancel_is_cooperative_then_sigterm(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, grace_s: float
) -> None:
    monkeypatch.setenv("FAKE_GATE", str(tmp_path / "never"))
    monkeypatch.setenv("FAKE_BEHAVIOUR", behaviour)
    ledger.submit(study(2))
    first, second = ledger.runs()
    worker = Worker(ledger, "local", FAKE, slots=1, grace_s=grace_s)
    wait_until(lambda: ledger.run(first.run_id).epoch > 0, worker.step)
    assert ledger.cancel(first.run_id)
    assert ledger.cancel(second.run_id)
    assert ledger.run(second.run_id).state == "cancelled"
    wait_until(lambda: ledger.run(first.run_id).state == "cancelled", worker.step)
    assert ledger.run(first.run_id).error is None
    assert ledger.cancel(first.run_id) is False


def stopped(ledger: Ledger, worker: Worker) -> tuple[str, int]:
    """The first run, once it has an epoch, and its process, which is asleep until somebody wakes it."""
    wait_until(lambda: ledger.runs()[0].epoch > 0, worker.step)
    run_id = ledger.runs()[0].run_id
    pid = pid_of(ledger, run_id)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return run_id, pid


def test_a_study_started_again_while_its_run_still_stops_is_finished(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job sleeps through cancel and start, as one inside a long epoch does; whichever it sees, it is not lost."""
    gate = tmp_path / "gate"
    monkeypatch.setenv("FAKE_GATE", str(gate))
    study_id = ledger.submit(study(1))
    worker = Worker(ledger, "local", FAKE, retry_pause_s=0.0)
    run_id, pid = stopped(ledger, worker)
    assert ledger.cancel_study(study_id) == 1
    worker.step()
    ledger.submit(study(1))
    os.kill(pid, signal.SIGCONT)
    gate.touch()
    wait_until(lambda: ledger.run(run_id).state == "finished", worker.step)


def test_a_stopped_job_that_was_cancelled_is_killed(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM does not reach a stopped process; SIGKILL does."""
    monkeypatch.setenv("FAKE_GATE", str(tmp_path / "never"))
    ledger.submit(study(1))
    worker = Worker(ledger, "local", FAKE, grace_s=0.1)
    run_id, _ = stopped(ledger, worker)
    ledger.cancel(run_id)
    wait_until(lambda: ledger.run(run_id).state == "cancelled", worker.step)


@pytest.mark.fault
def test_out_of_memory_fails_with_the_peak_and_is_not_retried(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    """10 rounds; the worker goes on. It is larger than its jobs may be: exec hands its size down as `ru_maxrss`."""
    monkeypatch.setenv("FAKE_BEHAVIOUR", "eat memory")
    ballast = b"1" * (3 * MEMORY_BYTES)
    ledger.submit(study(10))
    work(ledger, engine=Local(memory_bytes=MEMORY_BYTES))
    rows = ledger.runs()
    assert [(row.state, row.attempt) for row in rows] == [("failed", 1)] * 10
    peaks = [ledger.attempts(row.run_id)[0]["peak_bytes"] for row in rows]
    print({"rounds": len(rows), "peak_mib": [round(peak / 2**20) for peak in peaks]})
    for row, peak in zip(rows, peaks, strict=True):
        assert row.error == f"out of memory: the job's peak was {peak / 2**20:,.0f} MiB"
        assert MEMORY_BYTES / 2 < peak < 2 * MEMORY_BYTES < len(ballast)


def test_sentences() -> None:
    assert sentence(RuntimeError("DefaultCPUAllocator: can't allocate memory: 8"), 2**30).startswith("out of memory")
    assert sentence(OSError(28, "No space left on device", "/x/y.parquet"), 0) == "No space left on device (y.parquet)"
    assert sentence(RuntimeError(), 0) == "RuntimeError"


def test_a_job_needs_the_claim(ledger: Ledger) -> None:
    claim = claimed(ledger)
    with pytest.raises(Stale):
        Job.open(claim.run_id, 2)
    with Job.open(claim.run_id, 1), pytest.raises(Stale, match="another process"):
        Job.open(claim.run_id, 1).__enter__()


def test_a_job_in_this_process_leaves_its_artifacts_and_metrics(ledger: Ledger) -> None:
    claim = claimed(ledger, seed=5)
    handler = signal.getsignal(signal.SIGTERM)
    with Job.open(claim.run_id, 1) as job:
        assert job.spec == claim.spec
        job.emit({"epoch": 0, "loss_train": float("nan"), "epoch_ms": 3.0})
        with pytest.raises(ValueError, match="epoch row"):
            job.emit({"loss": 1.0})
        job.finish({"test_accuracy": float("inf"), "wall_s": 2.0})
    assert job.state == "finished"
    row = ledger.run(claim.run_id)
    assert (row.test_accuracy, row.wall_s, row.epoch) == (None, 2.0, 1)
    assert artifacts.verify(row.folder) == []
    assert artifacts.read_json(row.folder, "spec")["seed"] == 5
    assert artifacts.read_json(row.folder, "summary") == {"test_accuracy": None, "wall_s": 2.0}
    assert ledger.metrics(claim.run_id)["epoch_ms"].tolist() == [3.0]
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_fresh_start_after_a_failure_and_a_checkpoint_after_an_interruption(ledger: Ledger) -> None:
    for seed, fails, inherited in ((0, True, False), (1, False, True)):
        claim = claimed(ledger, seed)
        with Job.open(claim.run_id, 1) as job:
            job.save_checkpoint(lambda path: path.write_text("7"))
            if fails:
                raise ZeroDivisionError
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        assert job.state == ("failed" if fails else "interrupted")
        ledger.retry(claim.run_id)
        again = ledger.claim("test", free=99)
        assert again is not None
        with Job.open(claim.run_id, 2) as job:
            assert job.checkpoint_path.exists() is inherited
            job.finish({})
        assert job.state == "finished"


def test_a_measurement_marks_the_folder_it_is_about(ledger: Ledger) -> None:
    from dqviz.spec import MeasureSpec

    claim = claimed(ledger)
    with Job.open(claim.run_id, 1) as job:
        job.finish({})
    folder = ledger.run(claim.run_id).folder
    os.utime(folder, (0, 0))
    run_id = ledger.submit_measure(MeasureSpec(target=claim.run_id))
    assert ledger.claim("test", free=1) is not None
    with Job.open(run_id, 1) as job:
        assert job.target() == folder
        job.finish({})
    assert folder.stat().st_mtime > 0
