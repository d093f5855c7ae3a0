"""Jobs outlive the worker: kill -9, Ctrl-C, two workers at once, a stopped job, jumping clocks."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from runs_tools import FAKE, kill, pids, signal_job, start_worker, study, wait_until, work

from dqviz.runs import locks, supervisor
from dqviz.runs.database import reading
from dqviz.runs.ledger import Ledger
from dqviz.runs.schema import metadata
from dqviz.runs.worker import Worker, alive, lock_path, main_loop


@contextmanager
def worker_process(home: Path, **environment: str) -> Iterator[object]:
    process = start_worker(home, **environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill(process)


def worker_pid() -> object:
    return locks.read_note(lock_path()).get("pid") if alive() else None


def restarts(ledger: Ledger, home: Path, tmp_path: Path, number: int, record_property: object) -> None:
    """Kills the worker `number` times while four jobs go on; then lets them finish."""
    starts = tmp_path / "starts"
    environment = {"FAKE_GATE": str(tmp_path / "gate"), "FAKE_STARTS": str(starts)}
    ledger.submit(study(4))
    with worker_process(home, **environment) as process:
        wait_until(
            lambda: starts.exists() and len(starts.read_text().splitlines()) == 4 and None not in pids(ledger).values()
        )
        before = pids(ledger)
        kill(process)  # type: ignore[arg-type]
    for again in range(number):
        with worker_process(home, **environment) as process:
            wait_until(lambda: worker_pid() == process.pid)  # type: ignore[attr-defined]
            time.sleep(0.3)
            assert pids(ledger) == before
            number_ = signal.SIGINT if again == 1 else signal.SIGKILL
            kill(process, number_)  # type: ignore[arg-type]
    (tmp_path / "gate").touch()
    with worker_process(home, **environment):
        wait_until(lambda: all(row.settled for row in ledger.runs()))
    lines = starts.read_text().splitlines()
    figures = {"restarts": number, "jobs": 4, "starts": len(lines), "duplicates": len(lines) - 4}
    print(figures)
    record_property("figures", figures)  # type: ignore[operator]
    assert len(lines) == 4
    assert [(row.state, row.attempt) for row in ledger.runs()] == [("finished", 1)] * 4
    assert {row.summary["pid"] for row in ledger.runs()} == set(before.values())


@pytest.mark.fault
def test_3_restarts_of_the_worker(ledger: Ledger, home: Path, tmp_path: Path, record_property: object) -> None:
    restarts(ledger, home, tmp_path, 3, record_property)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_50_restarts_of_the_worker(ledger: Ledger, home: Path, tmp_path: Path, record_property: object) -> None:
    restarts(ledger, home, tmp_path, 50, record_property)


@pytest.mark.fault
def test_one_worker_at_a_time(home: Path) -> None:
    with worker_process(home) as first:
        wait_until(lambda: home.exists() and alive())
        assert main_loop(command=FAKE) is False
        with start_worker(home) as second:
            assert second.wait() == 7
        with worker_process(home, PATIENT="1") as successor:
            time.sleep(0.2)
            kill(first)  # type: ignore[arg-type]
            wait_until(lambda: worker_pid() == successor.pid)  # type: ignore[attr-defined]
            assert alive()


@pytest.mark.fault
def test_a_worker_without_work_leaves_when_told(home: Path) -> None:
    assert main_loop(command=FAKE, idle_s=0.2) is True
    assert not alive()


def everything(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    with reading(ledger._engine) as connection:
        return {table.name: [tuple(row) for row in connection.execute(table.select())]
                for table in metadata.sorted_tables}  # fmt: skip


@pytest.mark.fault
def test_a_stopped_job_is_not_misjudged_and_its_late_writes_are_refused(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    monkeypatch.setenv("FAKE_GATE", str(tmp_path / "gate"))
    ledger.submit(study(1))
    worker = Worker(ledger, "local", FAKE)
    wait_until(lambda: ledger.runs()[0].epoch > 0, worker.step)
    run_id = ledger.runs()[0].run_id
    held = ledger.running()[0]
    signal_job(ledger, run_id, signal.SIGSTOP)
    until = time.monotonic() + 1.5
    wait_until(lambda: time.monotonic() > until, worker.step)
    assert ledger.run(run_id).state == "running"
    ledger.interrupt(held, "taken over by a test")
    assert ledger.requeue(run_id, 1)
    second = ledger.claim("another worker", free=99)
    assert second is not None
    assert second.key == (run_id, 2)
    before = everything(ledger)
    (tmp_path / "gate").touch()
    os.kill(locks.read_note(held.lock)["pid"], signal.SIGCONT)
    wait_until(lambda: not locks.held(held.lock))
    after = everything(ledger)
    changed = sum(row not in after[name] for name in before for row in before[name])
    print({"rows": sum(map(len, before.values())), "changed": changed})
    record_property("rows_changed", changed)
    assert after == before
    assert not held.artifacts.exists()
    assert "no longer holds the run" in held.log.read_text()


@pytest.mark.fault
@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0])
def test_clock_jumps_interrupt_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, jump_s: float, record_property: object
) -> None:
    """The wall clock of job and worker jumps by a day to and fro at every look."""
    monkeypatch.setenv("FAKE_CLOCK_S", str(jump_s))
    real, turn = time.time, itertools.cycle((1, -1))
    monkeypatch.setattr(time, "time", lambda: real() + next(turn) * jump_s)
    ledger.submit(study(4, epochs=40))
    work(ledger)
    tries = [attempt["state"] for row in ledger.runs() for attempt in ledger.attempts(row.run_id)]
    record_property("false_interrupted", tries.count("interrupted"))
    assert tries == ["finished"] * 4


@pytest.mark.fault
def test_a_silent_run_of_another_host_is_interrupted_and_one_that_beats_is_not(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "REMOTE_SILENCE_S", 0.5)
    far = Ledger()
    far.__dict__["host"] = "elsewhere"
    ledger.submit(study(2))
    beating, silent = far.claim("far", free=9), far.claim("far", free=9)
    assert beating is not None
    assert silent is not None
    worker = Worker(ledger, "local", FAKE, retry_pause_s=1e9)

    def step() -> None:
        far.beat(beating)
        worker.step()

    wait_until(lambda: ledger.run(silent.run_id).state == "interrupted", step)
    assert ledger.run(beating.run_id).state == "running"
    assert ledger.run(silent.run_id).error == "No sign of life from elsewhere for 0 s."
    far.close()
