"""What a person asks of the ledger: submit, cancel, retry. Each function works inside one write transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from dqviz.errors import BadInput, unknown
from dqviz.runs.rows import UNSUCCESSFUL
from dqviz.runs.schema import membership, metrics, runs, studies
from dqviz.spec import MeasureSpec, RunSpec, Study, content_hash

AUTOMATIC_RETRIES = 1


def submit(connection: Connection, study: Study) -> str:
    """Asks for every run of the study: what is finished, queued or running stays, anything else is queued again."""
    study_id = content_hash(study)
    known = connection.execute(update(studies).where(studies.c.study_id == study_id).values(cancelled=False)).rowcount
    if not known:
        row = {"study_id": study_id, "name": study.name, "cancelled": False, "created_at": time.time()}
        connection.execute(insert(studies), row)
    wanted = list({spec.digest: spec for spec in study.runs}.items())
    queue(connection, wanted)
    if not known:
        links = [{"study_id": study_id, "run_id": run_id, "position": at} for at, (run_id, _) in enumerate(wanted)]
        connection.execute(insert(membership), links)
    return study_id


def submit_measure(connection: Connection, spec: MeasureSpec) -> str:
    state = connection.execute(
        select(runs.c.state).where(runs.c.run_id == spec.target, runs.c.kind == "train")
    ).scalar()
    if state is None:
        raise BadInput(f"There is no run {spec.target!r} to measure.")
    if state != "finished":
        raise BadInput(f"Run {spec.target} is {state}; only a finished run can be measured.")
    queue(connection, [(spec.digest, spec)])
    return spec.digest


def queue(connection: Connection, wanted: Iterable[tuple[str, RunSpec | MeasureSpec]]) -> None:
    specs = dict(wanted)
    states = {row.run_id: row.state for row in connection.execute(select(runs.c.run_id, runs.c.state))}
    new = [_new(run_id, spec) for run_id, spec in specs.items() if run_id not in states]
    if new:
        connection.execute(insert(runs), new)
    for run_id in specs:
        if states.get(run_id) in UNSUCCESSFUL:
            retry(connection, run_id)
        elif states.get(run_id) == "running":
            _withdraw_cancel(connection, run_id)


def retry(connection: Connection, run_id: str) -> None:
    """A new attempt. After a failure it starts afresh; after a cancel or an interruption from its checkpoint."""
    state = state_of(connection, run_id)
    if state not in UNSUCCESSFUL:
        raise BadInput(f"Run {run_id} is {state}; only one that {', '.join(UNSUCCESSFUL)} can be retried.")
    again = {"state": "queued", "attempt": runs.c.attempt + 1, "retries_left": AUTOMATIC_RETRIES, "cancel": False}
    fresh = {"epoch": 0} if state == "failed" else {}
    cleared = {"error": None, "summary": None, "ended_at": None, "started_at": None, "queued_at": time.time()}
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(**again, **fresh, **cleared))
    if state == "failed":
        connection.execute(delete(metrics).where(metrics.c.run_id == run_id))


def cancel(connection: Connection, run_id: str) -> bool:
    """Cancels at once what does not run, asks what runs to stop. False when the run has ended already."""
    state_of(connection, run_id)
    mine = runs.c.run_id == run_id
    waiting = runs.c.state.in_(("queued", "interrupted")) & ((runs.c.state == "queued") | (runs.c.retries_left > 0))
    done = {"state": "cancelled", "cancel": True, "retries_left": 0, "ended_at": time.time()}
    if connection.execute(update(runs).where(mine, waiting).values(**done)).rowcount:
        return True
    asked = update(runs).where(mine, runs.c.state == "running").values(cancel=True)
    return bool(connection.execute(asked).rowcount)


def cancel_study(connection: Connection, study_id: str) -> int:
    """Cancels the runs that no other study wants; their number."""
    marked = update(studies).where(studies.c.study_id == study_id).values(cancelled=True)
    if not connection.execute(marked).rowcount:
        raise unknown_study(connection, study_id)
    other = membership.alias()
    wanted = exists(
        select(1)
        .select_from(other.join(studies, studies.c.study_id == other.c.study_id))
        .where(other.c.run_id == membership.c.run_id, studies.c.cancelled.is_(False))
    )
    mine = select(membership.c.run_id).where(membership.c.study_id == study_id, ~wanted)
    return sum(cancel(connection, run_id) for run_id in connection.execute(mine).scalars().all())


def _withdraw_cancel(connection: Connection, run_id: str) -> None:
    """A run that was told to stop and has not yet is wanted again: it goes on, or is retried (`holding.end`)."""
    stopping = (runs.c.run_id == run_id) & runs.c.cancel
    connection.execute(update(runs).where(stopping).values(cancel=False, retries_left=AUTOMATIC_RETRIES))


def state_of(connection: Connection, run_id: str) -> str:
    state = connection.execute(select(runs.c.state).where(runs.c.run_id == run_id)).scalar()
    if state is None:
        raise BadInput(f"There is no run {run_id!r}.")
    return str(state)


def unknown_study(connection: Connection, study_id: str) -> BadInput:
    newest = select(studies.c.study_id).order_by(studies.c.created_at.desc()).limit(20)
    known = connection.execute(newest).scalars().all()
    return unknown("study", study_id, known) if known else BadInput(f"There is no study {study_id!r}, nor any other.")


def _new(run_id: str, spec: RunSpec | MeasureSpec) -> dict[str, Any]:
    return {
        "run_id": run_id, "kind": "train" if isinstance(spec, RunSpec) else "measure", "state": "queued",
        "attempt": 1, "retries_left": AUTOMATIC_RETRIES, "cancel": False, "threads": spec.threads, "epoch": 0,
        "beats": 0, "spec": spec.model_dump_json(), "queued_at": time.time(),
    }  # fmt: skip
