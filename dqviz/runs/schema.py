"""Tables of the ledger. A change here needs a new revision in `migrations/versions` and HEAD below."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from dqviz.columns import TABLES

HEAD = "0001"
ID = String(16)

metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("study_id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
)

# retries_left: automatic retries after an interruption. beats: counted, never timed (clocks jump).
runs = Table(
    "runs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run_id", ID, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("retries_left", Integer, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("host", Text),
    Column("worker", Text),
    Column("spec", Text, nullable=False),
    Column("summary", Text),
    Column("error", Text),
    Column("queued_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Index("runs_by_state", "state", "kind", "seq"),
)

membership = Table(
    "membership",
    metadata,
    Column("study_id", ID, ForeignKey("studies.study_id"), primary_key=True),
    Column("run_id", ID, ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Integer, nullable=False),
    Index("membership_by_run", "run_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", ID, ForeignKey("runs.run_id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("host", Text),
    Column("worker", Text),
    Column("error", Text),
    Column("peak_bytes", BigInteger),
    Column("started_at", Float),
    Column("ended_at", Float),
)

METRICS = tuple(str(column) for column in TABLES["metrics"])

metrics = Table(
    "metrics",
    metadata,
    Column("run_id", ID, ForeignKey("runs.run_id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    *(Column(name, Float) for name in METRICS if name != "epoch"),
)
