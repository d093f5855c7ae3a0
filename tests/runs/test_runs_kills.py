"""kill -9 at any moment: no finished run is lost, none is half-written, one automatic retry from a checkpoint."""

from __future__ import annotations

import signal

import pytest
from runs_tools import FAKE, Storm, claimed, pid_of, signal_job, study, wait_until, work

from dqviz.runs import artifacts, steps
from dqviz.runs.ledger import Ledger
from dqviz.runs.worker import Worker

SLOW_STEPS = {"FAKE_STEP_S": "0.01", "FAKE_EPOCH_S": "0.03"}


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving takes about as long as the rest, so that many kills hit it."""
    for name, value in SLOW_STEPS.items():
        monkeypatch.setenv(name, value)


def storm(ledger: Ledger, kills: int, seed: int = 0) -> Storm:
    made = Storm(ledger, seed)
    made.run(kills, Worker(ledger, "local", FAKE, slots=4, retry_pause_s=0.0))
    return made


def report(record_property: object, made: Storm) -> None:
    tries = [attempt for row in made.ledger.runs() for attempt in made.ledger.attempts(row.run_id)]
    runs = len(made.ledger.runs())
    kills = {"kills": made.kills.total(), **made.kills}
    figures = kills | {"runs": runs, "attempts": len(tries), "finished": len(made.finished),
               "lost": len(made.lost()), "half_written": len(made.half_written)}  # fmt: skip
    print(figures)
    record_property("figures", figures)  # type: ignore[operator]


def check_promise(made: Storm) -> None:
    assert not made.half_written
    assert not made.lost()
    for row in made.ledger.runs():
        tries = made.ledger.attempts(row.run_id)
        assert row.state in ("finished", "interrupted")
        assert len(tries) <= 2
        assert all(attempt["state"] == "interrupted" for attempt in tries[:-1])
        assert row.state == "finished" or len(tries) == 2
        assert not list(row.folder.parent.glob(".*staging*"))


@pytest.mark.fault
@pytest.mark.usefixtures("slow_steps")
def test_200_random_kills_lose_nothing(ledger: Ledger, record_property: object) -> None:
    made = storm(ledger, 200)
    report(record_property, made)
    assert made.kills.total() >= 200
    assert made.kills["saving"] >= 40, "the storm must hit what it is about"
    check_promise(made)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("slow_steps")
def test_1000_random_kills_lose_nothing(ledger: Ledger, record_property: object) -> None:
    made = storm(ledger, 1000, seed=1)
    report(record_property, made)
    check_promise(made)


@pytest.mark.fault
@pytest.mark.usefixtures("slow_steps")
def test_the_harness_finds_losses_when_the_row_comes_first(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    """Negative control: "row first, files after" must be caught by the same storm."""
    monkeypatch.setenv("FAKE_BEHAVIOUR", "row first")
    made = storm(ledger, 40)
    report(record_property, made)
    assert made.lost()


@pytest.mark.fault
def test_a_kill_at_each_step_of_saving_is_safe(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    monkeypatch.setenv("FAKE_KILL_AT", "seed")
    ledger.submit(study(len(steps.STEPS)))
    made = Storm(ledger)
    worker = Worker(ledger, "local", FAKE, slots=4, retry_pause_s=0.0)
    wait_until(lambda: all(row.settled for row in ledger.runs()), lambda: made.step(worker, 0))
    check_promise(made)
    rows = ledger.runs()
    assert [row.state for row in rows] == ["finished"] * len(steps.STEPS)
    published = steps.STEPS.index("rename:after")
    for point, row in enumerate(rows):
        assert len(ledger.attempts(row.run_id)) == (1 if point >= published else 2), steps.STEPS[point]
    print(f"{len(rows)} of {len(steps.STEPS)} steps safe")
    record_property("steps", len(rows))


@pytest.mark.fault
def test_a_retry_goes_on_from_the_checkpoint(ledger: Ledger, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_EPOCH_S", "0.05")
    ledger.submit(study(1, epochs=30))
    worker = Worker(ledger, "local", FAKE, retry_pause_s=0.0)
    wait_until(lambda: ledger.runs()[0].epoch >= 5, worker.step)
    run_id = ledger.runs()[0].run_id
    signal_job(ledger, run_id, signal.SIGKILL)
    work(ledger)
    row = ledger.run(run_id)
    assert (row.state, row.attempt) == ("finished", 2)
    assert row.summary["resumed_at"] >= 5
    missing = set(range(30)) - set(ledger.metrics(run_id)["epoch"])
    assert all(epoch < row.summary["resumed_at"] for epoch in missing), "at most the half second before the kill"
    assert [attempt["state"] for attempt in ledger.attempts(run_id)] == ["interrupted", "finished"]


@pytest.mark.fault
def test_a_second_kill_ends_it(ledger: Ledger, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """One automatic retry; in between the run is shown as interrupted, with a sentence."""
    monkeypatch.setenv("FAKE_GATE", str(tmp_path) + "/never")
    ledger.submit(study(1))
    run_id = ledger.runs()[0].run_id
    worker = Worker(ledger, "local", FAKE, retry_pause_s=0.3)
    for attempt in (1, 2):
        wait_until(lambda: ledger.run(run_id).state == "running" and bool(pid_of(ledger, run_id)), worker.step)
        assert ledger.run(run_id).attempt == attempt
        signal_job(ledger, run_id, signal.SIGKILL)
        wait_until(lambda: ledger.run(run_id).state == "interrupted", worker.step)
        assert ledger.run(run_id).error == "The job's process was killed by SIGKILL."
        assert ledger.run(run_id).settled == (attempt == 2)
    worker.step()
    assert ledger.run(run_id).state == "interrupted"


def test_a_death_after_publishing_is_no_loss(ledger: Ledger) -> None:
    """What lies complete on disk is finished by the next worker, whoever died before the row was written."""
    claim = claimed(ledger)
    claim.folder.mkdir(parents=True)
    with artifacts.stage(claim.artifacts) as staging:
        staging.write_json("summary", {"test_accuracy": 0.5})
    Worker(ledger, "local", FAKE).step()
    assert ledger.run(claim.run_id).state == "finished"
    assert ledger.run(claim.run_id).test_accuracy == 0.5
