"""Alembic's entry: migrations run inside the transaction that `dqviz.runs.database` has opened."""

from __future__ import annotations

from alembic import context

from dqviz.runs.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
context.run_migrations()
