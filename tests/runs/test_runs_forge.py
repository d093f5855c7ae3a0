"""What is promised of a run holds when its process is forked from a forge; and a forge may die, hang or be broken."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from runs_tools import (
    FORGED,
    Storm,
    forge_of,
    forges_of,
    kill,
    pid_of,
    pids,
    signal_job,
    start_worker,
    study,
    wait_until,
)  # fmt: skip
from test_runs_kills import check_promise, report

from dqviz.runs import steps
from dqviz.runs.engines import Local
from dqviz.runs.engines import forge as forges
from dqviz.runs.ledger import Ledger
from dqviz.runs.worker import Worker

MEMORY_BYTES = 200 << 20


@pytest.fixture(autouse=True)
def _forged_job_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One line for each start of a job: run, attempt, process."""
    monkeypatch.setenv("FAKE_STARTS", str(tmp_path / "starts"))
    return tmp_path / "starts"


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jobs wait after their first epoch until this file is there."""
    monkeypatch.setenv("FAKE_GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"


def settled(ledger: Ledger) -> bool:
    return all(row.settled for row in ledger.runs())


def all_train(ledger: Ledger) -> bool:
    return all(row.epoch > 0 for row in ledger.runs())


def finish(ledger: Ledger, worker: Worker) -> None:
    wait_until(lambda: settled(ledger), worker.step)
    wait_until(lambda: not worker._mine, worker.step)
    worker.engine.close()


def forged_worker(ledger: Ledger, **options: Any) -> Worker:
    return Worker(ledger, options.pop("engine", "local"), FORGED, **{"retry_pause_s": 0.0, "slots": 4} | options)


def ends(ledger: Ledger) -> list[tuple[str, int]]:
    return [(row.state, row.attempt) for row in ledger.runs()]


def test_jobs_are_forked_and_each_has_a_session_a_log_and_a_peak_of_its_own(
    ledger: Ledger, gate: Path, starts: Path
) -> None:
    ledger.submit(study(3))
    worker = forged_worker(ledger)
    wait_until(lambda: all_train(ledger), worker.step)
    parent = forge_of(worker)
    for pid in pids(ledger).values():
        assert pid is not None
        assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"PPid:\t{parent}\n" in status
        links = [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)]
        assert links[0] == "/dev/null"
        assert links[1] == links[2] != links[0]
    gate.touch()
    finish(ledger, worker)
    assert ends(ledger) == [("finished", 1)] * 3
    assert len(starts.read_text().splitlines()) == 3
    assert all(ledger.attempts(row.run_id)[0]["peak_bytes"] > 1 << 20 for row in ledger.runs())
    assert not Path(f"/proc/{parent}").exists(), "the forge ends with its worker"


@pytest.mark.parametrize(
    ("behaviour", "state", "error"),
    [
        ("raise", "failed", "ZeroDivisionError: division by zero"),
        ("crash", "failed", "The job's process ended with code 3 before it had finished."),
        ("no result", "failed", "The job ended without a result."),
    ],
)
def test_a_failure_is_told_as_without_a_forge(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, behaviour: str, state: str, error: str
) -> None:
    monkeypatch.setenv("FAKE_BEHAVIOUR", behaviour)
    ledger.submit(study(1))
    worker = forged_worker(ledger)
    finish(ledger, worker)
    row = ledger.runs()[0]
    assert (row.state, row.attempt, row.error) == (state, 1, error)
    assert ("Traceback" in "\n".join(ledger.log_tail(row.run_id))) is (behaviour != "crash")


@pytest.mark.fault
def test_out_of_memory_fails_with_the_peak_of_the_job(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_BEHAVIOUR", "eat memory")
    ledger.submit(study(5))
    finish(ledger, forged_worker(ledger, engine=Local(memory_bytes=MEMORY_BYTES)))
    assert ends(ledger) == [("failed", 1)] * 5
    for row in ledger.runs():
        peak = ledger.attempts(row.run_id)[0]["peak_bytes"]
        assert row.error == f"out of memory: the job's peak was {peak / 2**20:,.0f} MiB"
        assert MEMORY_BYTES / 2 < peak < 2 * MEMORY_BYTES


@pytest.mark.fault
def test_100_random_kills_lose_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    monkeypatch.setenv("FAKE_STEP_S", "0.01")
    monkeypatch.setenv("FAKE_EPOCH_S", "0.03")
    made = Storm(ledger, seed=3)
    worker = forged_worker(ledger)
    made.run(100, worker, batch=25)
    finish(ledger, worker)
    report(record_property, made)
    assert made.kills["saving"] >= 20, "the storm must hit what it is about"
    check_promise(made)


@pytest.mark.fault
def test_a_kill_at_each_step_of_saving_is_safe(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KILL_AT", "seed")
    ledger.submit(study(len(steps.STEPS)))
    made = Storm(ledger)
    worker = forged_worker(ledger)
    wait_until(lambda: settled(ledger), lambda: made.step(worker, 0))
    finish(ledger, worker)
    check_promise(made)
    assert {row.state for row in ledger.runs()} == {"finished"}


@pytest.mark.fault
def test_a_kill_is_seen_at_once_and_named(ledger: Ledger, gate: Path) -> None:
    """The forge keeps no copy of the lock."""
    ledger.submit(study(1))
    worker = forged_worker(ledger, retry_pause_s=1e9)
    wait_until(lambda: all_train(ledger), worker.step)
    run_id = ledger.runs()[0].run_id
    signal_job(ledger, run_id, signal.SIGKILL)
    assert worker.engine.wake.wait(1.0)
    worker.step()
    assert ledger.run(run_id).error == "The job's process was killed by SIGKILL."
    worker.engine.close()


@pytest.mark.fault
def test_jobs_outlive_worker_and_forge(ledger: Ledger, home: Path, gate: Path, starts: Path) -> None:
    ledger.submit(study(4))
    with start_worker(home, FORGED="1") as process:
        wait_until(lambda: all_train(ledger) and None not in pids(ledger).values())
        before = pids(ledger)
        kill(process)
    with start_worker(home, FORGED="1") as process:
        time.sleep(0.5)
        assert pids(ledger) == before
        gate.touch()
        wait_until(lambda: settled(ledger))
        kill(process)
    assert ends(ledger) == [("finished", 1)] * 4
    assert {row.summary["pid"] for row in ledger.runs()} == set(before.values())
    assert len(starts.read_text().splitlines()) == 4


@pytest.mark.fault
def test_orders_of_a_worker_that_dies_before_their_birth_are_carried_out_once(
    ledger: Ledger, home: Path, starts: Path
) -> None:
    """kill -9 while the forge still imports: the orders lie in its mail, with their locks."""
    ledger.submit(study(2))
    with start_worker(home, FORGED="1") as process:
        wait_until(lambda: len(ledger.running()) == 2)
        kill(process)
    with start_worker(home, FORGED="1") as process:
        wait_until(lambda: settled(ledger))
        kill(process)
    assert {row.state for row in ledger.runs()} == {"finished"}
    lines = [line.rsplit(" ", 1)[0] for line in starts.read_text().splitlines()]
    assert len(lines) == len(set(lines)), "no attempt starts twice"


@pytest.mark.fault
def test_a_forge_that_is_killed_takes_no_job_with_it(ledger: Ledger, gate: Path, starts: Path) -> None:
    ledger.submit(study(2))
    worker = forged_worker(ledger)
    wait_until(lambda: all_train(ledger), worker.step)
    before, dead = pids(ledger), forge_of(worker)
    os.kill(dead, signal.SIGKILL)
    ledger.submit(study(1, "another", first=2))
    wait_until(lambda: all_train(ledger), worker.step)
    assert {run_id: pids(ledger)[run_id] for run_id in before} == before
    assert dead not in forges_of(worker)  # another one, or none where the last job was started without
    gate.touch()
    finish(ledger, worker)
    assert ends(ledger) == [("finished", 1)] * 3
    assert len(starts.read_text().splitlines()) == 3


@pytest.mark.fault
@pytest.mark.parametrize("moment_s", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
def test_a_forge_that_dies_at_any_moment_starts_nothing_twice(ledger: Ledger, starts: Path, moment_s: float) -> None:
    ledger.submit(study(3, epochs=20))
    worker = forged_worker(ledger)
    worker.step()
    time.sleep(moment_s)
    os.kill(forge_of(worker), signal.SIGKILL)
    finish(ledger, worker)
    assert {row.state for row in ledger.runs()} == {"finished"}
    lines = [line.rsplit(" ", 1)[0] for line in starts.read_text().splitlines()]
    assert len(lines) == len(set(lines)), "no attempt starts twice"


@pytest.mark.fault
def test_jobs_that_ended_before_their_birth_was_heard_are_not_started_again(
    ledger: Ledger, starts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forge has forked them and dies without a word; their locks are free already, but their notes name them."""
    ledger.submit(study(3, epochs=2))
    worker = forged_worker(ledger)
    worker.step()
    (forge,) = worker.engine._forges._kept.values()
    wait_until(lambda: all(row.state == "finished" for row in ledger.runs()))
    os.kill(forge_of(worker), signal.SIGKILL)

    def silent(_timeout_s: float) -> None:
        forge.alive = False

    monkeypatch.setattr(forge, "_receive", silent)
    finish(ledger, worker)
    assert ends(ledger) == [("finished", 1)] * 3
    assert len(starts.read_text().splitlines()) == 3


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["broken", "threads", "hangs"])
def test_a_forge_that_cannot_serve_is_done_without(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, starts: Path, fault: str
) -> None:
    monkeypatch.setenv("FORGE_FAULT", fault)
    monkeypatch.setattr(forges, "PATIENCE_S", 0.5)
    ledger.submit(study(3))
    worker = forged_worker(ledger, slots=1)
    begun = time.monotonic()
    finish(ledger, worker)
    assert ends(ledger) == [("finished", 1)] * 3
    assert len(starts.read_text().splitlines()) == 3
    assert worker.engine._forges._barren  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 60


def test_another_environment_gets_another_forge(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, gate: Path) -> None:
    ledger.submit(study(1))
    worker = forged_worker(ledger)
    wait_until(lambda: all_train(ledger), worker.step)
    first = forge_of(worker)
    monkeypatch.setenv("FAKE_EPOCH_S", "0.001")
    ledger.submit(study(1, "another", first=1))
    wait_until(lambda: all_train(ledger), worker.step)
    assert forge_of(worker) != first
    assert Path(f"/proc/{first}").exists(), "its child still runs"
    gate.touch()
    wait_until(lambda: settled(ledger), worker.step)
    wait_until(lambda: not Path(f"/proc/{first}").exists(), worker.step)
    finish(ledger, worker)


def test_an_idle_forge_ends(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forges, "IDLE_S", 0.2)
    ledger.submit(study(1))
    worker = forged_worker(ledger)
    worker.step()
    parent = forge_of(worker)
    wait_until(lambda: not Path(f"/proc/{parent}").exists(), worker.step)
    assert ends(ledger) == [("finished", 1)]
    ledger.submit(study(1, "another", first=1))
    finish(ledger, worker)
    assert ends(ledger) == [("finished", 1)] * 2


def test_more_threads_and_other_programs_are_started_anew(ledger: Ledger, gate: Path) -> None:
    ledger.submit(study(1, threads=2))
    worker = forged_worker(ledger)
    wait_until(lambda: all_train(ledger), worker.step)
    pid = pid_of(ledger, ledger.runs()[0].run_id)
    assert f"PPid:\t{os.getpid()}\n" in Path(f"/proc/{pid}/status").read_text()
    gate.touch()
    finish(ledger, worker)
