"""What pages and commands ask the ledger: each question is one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select

from dqviz.runs.rows import ACTIVE, StudyRow
from dqviz.runs.schema import METRICS, attempts, membership, metrics, runs, studies


def run_rows(
    connection: Connection, *, study_id: str | None = None, states: Sequence[str] | None = None
) -> Sequence[RowMapping]:
    """Runs in order of submission, or of their place in the study."""
    query = _runs()
    if study_id is not None:
        mine = and_(membership.c.run_id == runs.c.run_id, membership.c.study_id == study_id)
        query = query.join(membership, mine).order_by(membership.c.position)
    if states is not None:
        query = query.where(runs.c.state.in_(states))
    return connection.execute(query.order_by(runs.c.seq)).mappings().all()


def active(connection: Connection) -> Sequence[RowMapping]:
    """Queued, running, and interrupted with a retry to come."""
    pending = and_(runs.c.state == "interrupted", runs.c.retries_left > 0)
    query = _runs().where(or_(runs.c.state.in_(ACTIVE), pending)).order_by(runs.c.seq)
    return connection.execute(query).mappings().all()


def one(connection: Connection, run_id: str) -> RowMapping | None:
    return connection.execute(_runs().where(runs.c.run_id == run_id)).mappings().one_or_none()


def measures(connection: Connection) -> Sequence[RowMapping]:
    """Finished measurements, newest first."""
    query = _runs().where(runs.c.kind == "measure", runs.c.state == "finished").order_by(runs.c.seq.desc())
    return connection.execute(query).mappings().all()


def running(connection: Connection) -> Sequence[RowMapping]:
    return connection.execute(select(runs).where(runs.c.state == "running")).mappings().all()


def pending_retries(connection: Connection) -> list[tuple[str, int]]:
    query = select(runs.c.run_id, runs.c.attempt).where(runs.c.state == "interrupted", runs.c.retries_left > 0)
    return [(row.run_id, row.attempt) for row in connection.execute(query)]


def has_queued(connection: Connection, kinds: Sequence[str]) -> bool:
    query = select(runs.c.seq).where(runs.c.state == "queued", runs.c.kind.in_(kinds)).limit(1)
    return connection.execute(query).scalar() is not None


def study_rows(connection: Connection, study_id: str | None = None) -> list[StudyRow]:
    """Newest first."""
    count = (
        select(studies, runs.c.state, func.count(runs.c.run_id).label("number"))
        .select_from(studies.outerjoin(membership).outerjoin(runs, runs.c.run_id == membership.c.run_id))
        .group_by(studies.c.study_id, runs.c.state)
        .order_by(studies.c.created_at.desc(), studies.c.study_id)
    )
    if study_id is not None:
        count = count.where(studies.c.study_id == study_id)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(count).mappings():
        about = {name: row[name] for name in ("study_id", "name", "created_at", "cancelled")}
        entry = found.setdefault(row["study_id"], about | {"counts": {}})
        if row["state"]:
            entry["counts"][row["state"]] = row["number"]
    return [StudyRow(**entry) for entry in found.values()]


def epoch_rows(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    query = select(*(metrics.c[name] for name in METRICS)).where(metrics.c.run_id == run_id)
    return [dict(row) for row in connection.execute(query.order_by(metrics.c.epoch)).mappings()]


def attempt_rows(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    query = select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.attempt)
    return [dict(row) for row in connection.execute(query).mappings()]


def _runs() -> Select[Any]:
    link = membership.alias()
    ids = select(func.aggregate_strings(link.c.study_id, ",")).where(link.c.run_id == runs.c.run_id)
    return select(runs, ids.scalar_subquery().label("studies"))
