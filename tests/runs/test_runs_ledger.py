"""The ledger's rules: what a submission means, who may write, what never changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from runs_tools import FAKE, claimed, spec, study
from sqlalchemy import update

from dqviz.errors import BadInput, Stale
from dqviz.runs import worker
from dqviz.runs.database import writing
from dqviz.runs.ledger import Claim, Ledger
from dqviz.runs.schema import runs
from dqviz.spec import MeasureSpec, RunSpec, Study

WRITES: dict[str, Callable[[Ledger, Claim], object]] = {
    "beat": lambda ledger, claim: ledger.beat(claim, [{"epoch": 1}]),
    "finish": lambda ledger, claim: ledger.finish(claim, {}),
    "fail": lambda ledger, claim: ledger.fail(claim, "late"),
    "cancelled": lambda ledger, claim: ledger.cancelled(claim),
    "interrupt": lambda ledger, claim: ledger.interrupt(claim, "late"),
}


def end_as(ledger: Ledger, claim: Claim, state: str) -> None:
    ends = {"finished": WRITES["finish"], "failed": WRITES["fail"], "cancelled": WRITES["cancelled"],
            "interrupted": WRITES["interrupt"]}  # fmt: skip
    ends[state](ledger, claim)


def test_the_same_study_is_submitted_once(ledger: Ledger) -> None:
    first = ledger.submit(study(3))
    assert ledger.submit(study(3)) == first
    assert ledger.submit(study(3, "another name")) != first
    assert len(ledger.runs()) == 3
    assert len(ledger.runs(first)) == 3
    assert [row.name for row in ledger.studies()] == ["another name", "a study"]
    assert ledger.study(first).counts == {"queued": 3}


def test_a_finished_run_is_shared_and_never_trained_again(ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.finish(claim, {"test_accuracy": 0.5})
    second = ledger.submit(Study(name="second", runs=(spec(0), spec(1))))
    assert [row.state for row in ledger.runs(second)] == ["finished", "queued"]
    assert len(ledger.runs(second)[0].study_ids) == 2


def test_runs_of_a_study_come_in_its_order(ledger: Ledger) -> None:
    ledger.submit(study(3))
    backwards = ledger.submit(Study(name="backwards", runs=(spec(2), spec(0), spec(1))))
    assert [row.seed for row in ledger.runs(backwards)] == [2, 0, 1]
    assert [row.seed for row in ledger.runs()] == [0, 1, 2]


def test_submitting_again_queues_what_did_not_succeed(ledger: Ledger) -> None:
    for seed, state in enumerate(("failed", "cancelled", "interrupted")):
        end_as(ledger, claimed(ledger, seed), state)
    ledger.submit(study(3, "again"))
    assert [(row.state, row.attempt) for row in ledger.runs()] == [("queued", 2)] * 3


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled", "interrupted"])
@pytest.mark.parametrize("write", WRITES)
def test_terminal_states_never_change(ledger: Ledger, state: str, write: str) -> None:
    claim = claimed(ledger)
    end_as(ledger, claim, state)
    before = ledger.run(claim.run_id)
    with pytest.raises(Stale, match=f"Attempt 1 of run {claim.run_id} no longer holds the run"):
        WRITES[write](ledger, claim)
    assert ledger.run(claim.run_id) == before


@pytest.mark.parametrize("write", WRITES)
def test_an_older_attempt_cannot_write(ledger: Ledger, write: str) -> None:
    old = claimed(ledger)
    ledger.interrupt(old, "gone")
    ledger.retry(old.run_id)
    assert ledger.claim("test", free=9) is not None
    before = ledger.run(old.run_id)
    with pytest.raises(Stale):
        WRITES[write](ledger, old)
    assert ledger.run(old.run_id) == before


def test_one_automatic_retry(ledger: Ledger) -> None:
    claim = claimed(ledger)
    assert ledger.interrupt(claim, "gone") == "interrupted"
    assert ledger.pending_retries() == [claim.key]
    assert not ledger.run(claim.run_id).settled
    assert ledger.requeue(*claim.key)
    assert not ledger.requeue(*claim.key)
    second = ledger.claim("test", free=9)
    assert second is not None
    ledger.interrupt(second, "gone")
    assert ledger.pending_retries() == []
    assert ledger.run(claim.run_id).settled


def test_only_an_unsuccessful_run_is_retried(ledger: Ledger) -> None:
    claim = claimed(ledger)
    with pytest.raises(BadInput, match="is running; only one that failed, cancelled, interrupted can be retried"):
        ledger.retry(claim.run_id)
    ledger.finish(claim, {})
    with pytest.raises(BadInput, match="is finished"):
        ledger.retry(claim.run_id)


def test_cancelling_a_study_spares_the_runs_of_others(ledger: Ledger) -> None:
    first = ledger.submit(study(2))
    ledger.submit(Study(name="other", runs=(spec(1),)))
    assert ledger.cancel_study(first) == 1
    assert [row.state for row in ledger.runs(first)] == ["cancelled", "queued"]
    assert ledger.study(first).cancelled


def test_a_cancel_that_meets_a_death_is_a_cancel(ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.cancel(claim.run_id)
    assert ledger.beat(claim) is True
    assert ledger.cancel_asked(claim)
    assert ledger.interrupt(claim, "gone") == "cancelled"
    assert ledger.run(claim.run_id).error is None


@pytest.mark.parametrize("end", ["cancelled", "interrupt", "finish"])
def test_a_study_cancelled_and_started_again_while_its_run_still_stops(ledger: Ledger, end: str) -> None:
    claim = claimed(ledger)
    study_id = ledger.submit(Study(name="again", runs=(claim.spec,)))
    other = ledger.run(claim.run_id).study_ids
    for mine in other:
        ledger.cancel_study(mine)
    assert ledger.cancel_asked(claim)
    ledger.submit(Study(name="again", runs=(claim.spec,)))
    assert not ledger.study(study_id).cancelled
    assert ledger.beat(claim) is False
    WRITES[end](ledger, claim)
    if end == "finish":
        assert ledger.run(claim.run_id).state == "finished"
        return
    assert ledger.run(claim.run_id).state == "interrupted"
    assert [attempt["state"] for attempt in ledger.attempts(claim.run_id)] == ["interrupted"]
    assert ledger.pending_retries() == [claim.key]
    assert ledger.requeue(*claim.key)
    again = ledger.claim("test", free=9)
    assert again is not None
    assert again.key == (claim.run_id, 2)
    assert not again.cancel


def test_a_measurement_is_alone(ledger: Ledger) -> None:
    target = claimed(ledger, seed=7)
    with pytest.raises(BadInput, match="is running; only a finished run can be measured"):
        ledger.submit_measure(MeasureSpec(target=target.run_id))
    ledger.finish(target, {})
    ledger.submit(study(3))
    running = ledger.claim("test", free=9)
    assert running is not None
    run_id = ledger.submit_measure(MeasureSpec(target=target.run_id))
    assert ledger.claim("test", free=9) is None, "it goes first, but waits until nothing runs"
    ledger.finish(running, {})
    measuring = ledger.claim("test", free=1)
    assert measuring is not None
    assert measuring.run_id == run_id
    assert ledger.claim("test", free=9) is None, "nothing starts beside it"
    ledger.finish(measuring, {})
    assert ledger.measures(target.run_id)[0].run_id == run_id
    assert ledger.measures("0" * 16) == []
    assert ledger.claim("test", free=9) is not None


def test_threads_that_are_not_free_are_not_given(ledger: Ledger) -> None:
    ledger.submit(Study(name="wide", runs=(spec(0, threads=4), spec(1, threads=4))))
    assert ledger.claim("test", free=1) is not None, "alone it may be wider than the machine"
    assert ledger.claim("test", free=3) is None
    assert ledger.claim("test", free=4) is not None


def test_repeated_epochs_replace_those_before_the_restart(ledger: Ledger) -> None:
    claim = claimed(ledger, epochs=10)
    ledger.beat(claim, [{"epoch": 0, "loss_train": 1.0}, {"epoch": 1, "loss_train": 0.5}])
    ledger.beat(claim, [{"epoch": 1, "loss_train": 0.25}])
    assert ledger.metrics(claim.run_id)["loss_train"].tolist() == [1.0, 0.25]
    assert ledger.run(claim.run_id).progress == 0.2
    assert ledger.metrics("0" * 16).empty


def test_unknown_names_are_said(ledger: Ledger) -> None:
    known = ledger.submit(study(1))
    for ask in (ledger.run, ledger.cancel, ledger.retry, ledger.log_tail):
        with pytest.raises(BadInput, match="There is no run 'x'"):
            ask("x")
    for ask in (ledger.study, ledger.cancel_study):
        with pytest.raises(BadInput, match=f"Unknown study 'x'; choose one of: .*{known}"):
            ask("x")
    with pytest.raises(BadInput, match="no run 'x' to measure"):
        ledger.submit_measure(MeasureSpec(target="x"))
    assert ledger.runs("x") == []


def test_a_row_as_json(ledger: Ledger) -> None:
    mixed = RunSpec(dataset="karate", arch="gin", method="dq", bits={"weight": 4, "input": 8})
    ledger.submit(Study(name="mixed", runs=(mixed,)))
    row = ledger.runs()[0].row()
    assert row["bits"] is None
    assert row["bits_label"] == "mixed"
    assert {"run_id", "state", "dataset", "arch", "method", "bits", "profile", "seed", "val_accuracy", "test_accuracy",
            "test_accuracy_integer", "epochs", "epoch_ms_median", "wall_s", "error"} <= set(row)  # fmt: skip


def test_seeds_of_one_setting_share_its_configuration(ledger: Ledger) -> None:
    spec = RunSpec(dataset="karate", arch="gin", method="dq", bits=8)
    others = [{"seed": 1}, {"optimizer": {"lr": 0.1}}, {"epochs": 7}]
    runs = tuple(RunSpec.model_validate(spec.model_dump() | other) for other in ({}, *others))
    ledger.submit(Study(name="seeds", runs=runs))
    first, seed, *settings = [ledger.run(run.digest).row()["configuration"] for run in runs]
    assert seed == first
    assert len({first, *settings}) == 3


def test_a_waiting_command_works_itself_when_no_worker_is_alive(ledger: Ledger) -> None:
    seen: list[int] = []
    study_id = ledger.submit(study(2))
    rows = worker.wait(study_id, ledger, progress=lambda rows: seen.append(len(rows)), command=FAKE)
    assert [row.state for row in rows] == ["finished", "finished"]
    assert set(seen) == {2}
    assert not worker.alive()


def test_who_waits_reads_no_settled_run_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    study_id = ledger.submit(study(3))
    run_ids = [row.run_id for row in ledger.runs(study_id)]
    rows = worker.following(run_ids, ledger)
    read: list[str] = []
    plain = ledger.run
    monkeypatch.setattr(ledger, "run", lambda run_id: read.append(run_id) or plain(run_id))
    assert [row.state for row in rows()] == ["queued"] * 3
    assert read == [], "what is active is read at once"
    ledger.cancel(run_ids[1])
    assert [row.state for row in rows()] == ["queued", "cancelled", "queued"]
    assert [row.state for row in rows()] == ["queued", "cancelled", "queued"]
    assert read == [run_ids[1]]
    ledger.retry(run_ids[1])
    assert [row.state for row in rows()] == ["queued"] * 3, "begun again by somebody else"


def test_what_pages_poll_is_quick(ledger: Ledger, record_property: object) -> None:
    """Figures for the report; what is asserted is that the number of finished runs does not matter much."""
    times = {}
    for number in (10, 300):
        ledger.submit(study(number, f"{number} runs"))
        with writing(ledger._engine) as connection:  # 300 real commits would take seconds and prove nothing here
            connection.execute(update(runs).values(state="finished", summary='{"test_accuracy": 0.5}'))
        ledger.submit(study(2, first=1000 * number))
        times[number] = min(duration_ms(ledger.active) for _ in range(20))
        assert len(ledger.active()) == 2
        for row in ledger.active():
            ledger.cancel(row.run_id)
    times_runs = min(duration_ms(ledger.runs) for _ in range(5))
    print({"active_ms_10": times[10], "active_ms_300": times[300], "runs_ms_300": times_runs})
    assert times[300] < 5 * times[10] + 5


def duration_ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return round(1e3 * (time.perf_counter() - start), 2)
