"""The first ledger: studies, runs, their attempts and their epochs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.String(16)
METRICS = ("loss_train", "loss_val", "accuracy_train", "accuracy_val", "epoch_ms")


def upgrade() -> None:
    _studies()
    _runs()
    _of_a_run()


def _studies() -> None:
    op.create_table(
        "studies",
        sa.Column("study_id", ID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run_id", ID, nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("attempt", "retries_left")),
        sa.Column("cancel", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("threads", "epoch", "beats")),
        *(sa.Column(name, sa.Text) for name in ("host", "worker")),
        sa.Column("spec", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("summary", "error")),
        sa.Column("queued_at", sa.Float, nullable=False),
        *(sa.Column(name, sa.Float) for name in ("started_at", "ended_at")),
    )
    op.create_index("runs_by_state", "runs", ["state", "kind", "seq"])


def _of_a_run() -> None:
    op.create_table(
        "membership",
        sa.Column("study_id", ID, sa.ForeignKey("studies.study_id"), primary_key=True),
        sa.Column("run_id", ID, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("membership_by_run", "membership", ["run_id"])
    op.create_table(
        "attempts",
        sa.Column("run_id", ID, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text) for name in ("host", "worker", "error")),
        sa.Column("peak_bytes", sa.BigInteger),
        *(sa.Column(name, sa.Float) for name in ("started_at", "ended_at")),
    )
    op.create_table(
        "metrics",
        sa.Column("run_id", ID, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Float) for name in METRICS),
    )
