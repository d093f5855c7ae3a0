"""What the holder of an attempt writes: claim, beat, end. Every write names (run, attempt), else it is Stale."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, or_, select, update
from sqlalchemy.dialects import sqlite

from dqviz.errors import Stale
from dqviz.runs import plain
from dqviz.runs.rows import Claim, parse_spec
from dqviz.runs.schema import METRICS, attempts, metrics, runs


def claim(
    connection: Connection, *, worker: str, host: str, kinds: Sequence[str], free: int, folder: Path
) -> Claim | None:
    """Takes the next run in one statement, with its first heartbeat; None when nothing can start now.

    A measurement goes first and alone: it waits until this host runs nothing, and nothing starts beside it.
    """
    now = time.time()
    values = {"state": "running", "worker": worker, "host": host, "beats": runs.c.beats + 1, "started_at": now,
              "ended_at": None, "error": None}  # fmt: skip
    taken = update(runs).where(_next(kinds), _may_start(host, free)).values(**values)
    row = connection.execute(taken.returning(runs)).mappings().one_or_none()
    if row is None:
        return None
    attempt = {"run_id": row["run_id"], "attempt": row["attempt"], "state": "running", "host": host,
               "worker": worker, "started_at": now}  # fmt: skip
    connection.execute(insert(attempts), attempt)
    return as_claim(row, folder)


def beat(connection: Connection, held: Claim, epochs: Sequence[dict[str, Any]]) -> bool:
    """A heartbeat with the epochs since the last one. True when the run was asked to stop."""
    values: dict[str, Any] = {"beats": runs.c.beats + 1}
    if epochs:
        values["epoch"] = 1 + max(int(row["epoch"]) for row in epochs)
    kept = update(runs).where(_held(held)).values(**values).returning(runs.c.cancel)
    cancel = connection.execute(kept).scalar()
    if cancel is None:
        raise _stale(held)
    if epochs:
        _store_epochs(connection, held.run_id, epochs)
    return bool(cancel)


def cancel_asked(connection: Connection, held: Claim) -> bool:
    cancel = connection.execute(select(runs.c.cancel).where(_held(held))).scalar()
    if cancel is None:
        raise _stale(held)
    return bool(cancel)


def end(
    connection: Connection,
    held: Claim,
    state: str,
    *,
    error: str | None = None,
    summary: dict[str, Any] | None = None,
    peak_bytes: int | None = None,
) -> str:
    """Writes how the attempt ended, and returns it: an interruption of a run that was to be cancelled is a cancel, a
    cancel that was withdrawn too late for the job to see is an interruption, which is retried from its checkpoint."""
    if state in ("interrupted", "cancelled"):
        asked = connection.execute(select(runs.c.cancel).where(_held(held))).scalar()
        if asked and state == "interrupted":
            state, error = "cancelled", None
        elif asked is not None and not asked and state == "cancelled":
            state, error = "interrupted", "It was cancelled, then asked for again."
    text = None if summary is None else plain.dumps(summary)
    values: dict[str, Any] = {"state": state, "error": error, "summary": text, "ended_at": time.time()}
    if state != "interrupted":
        values["retries_left"] = 0
    if not connection.execute(update(runs).where(_held(held)).values(**values)).rowcount:
        raise _stale(held)
    record = {"state": state, "error": error, "peak_bytes": peak_bytes, "ended_at": time.time()}
    mine = and_(attempts.c.run_id == held.run_id, attempts.c.attempt == held.attempt)
    connection.execute(update(attempts).where(mine).values(**record))
    return state


def requeue(connection: Connection, run_id: str, attempt: int) -> bool:
    """The one automatic retry of an interrupted run: a new attempt; False when there is none left."""
    mine = and_(runs.c.run_id == run_id, runs.c.attempt == attempt, runs.c.state == "interrupted")
    again = {"state": "queued", "attempt": attempt + 1, "retries_left": runs.c.retries_left - 1}
    return bool(connection.execute(update(runs).where(mine, runs.c.retries_left > 0).values(**again)).rowcount)


def as_claim(row: Any, folder: Path) -> Claim:
    return Claim(
        run_id=row["run_id"], attempt=row["attempt"], kind=row["kind"], spec=parse_spec(row["kind"], row["spec"]),
        home=folder / row["run_id"], cancel=row["cancel"], beats=row["beats"], host=row["host"] or "",
    )  # fmt: skip


def _next(kinds: Sequence[str]) -> ColumnElement[bool]:
    """Measurements first, then the order of submission."""
    waiting = runs.alias()
    first = select(waiting.c.run_id).where(waiting.c.state == "queued", waiting.c.kind.in_(kinds))
    ordered = first.order_by((waiting.c.kind == "measure").desc(), waiting.c.seq).limit(1)
    return runs.c.run_id == ordered.scalar_subquery()


def _may_start(host: str, free: int) -> ColumnElement[bool]:
    other = runs.alias()
    here = select(1).select_from(other).where(other.c.state == "running", other.c.host == host)
    fits = and_(runs.c.kind == "train", runs.c.threads <= free)
    return and_(~exists(here.where(other.c.kind == "measure")), or_(fits, ~exists(here)))


def _store_epochs(connection: Connection, run_id: str, epochs: Sequence[dict[str, Any]]) -> None:
    """Replaces epochs that were repeated after a restart from a checkpoint."""
    upsert = _insert_or_update(connection)
    values = {name: upsert.excluded[name] for name in METRICS if name != "epoch"}
    statement = upsert.on_conflict_do_update(index_elements=["run_id", "epoch"], set_=values)
    rows = [{name: plain.clean(row.get(name)) for name in METRICS} | {"run_id": run_id} for row in epochs]
    connection.execute(statement, rows)


def _insert_or_update(connection: Connection) -> Any:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(metrics)
    from sqlalchemy.dialects import postgresql  # 0.05 s of import that a job on SQLite need not pay

    return postgresql.insert(metrics)


def _held(held: Claim) -> ColumnElement[bool]:
    return and_(runs.c.run_id == held.run_id, runs.c.attempt == held.attempt, runs.c.state == "running")


def _stale(held: Claim) -> Stale:
    return Stale(f"Attempt {held.attempt} of run {held.run_id} no longer holds the run; its write was refused.")
