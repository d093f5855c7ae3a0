"""A locked database, an older one, a newer one, one that another process is just making."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from runs_tools import FAKE, HERE, study, wait_until
from sqlalchemy import create_engine

from dqviz.errors import Unavailable
from dqviz.runs import database
from dqviz.runs.database import writing
from dqviz.runs.ledger import Ledger
from dqviz.runs.schema import HEAD, metadata
from dqviz.runs.worker import Worker

KEPT = sorted((HERE / "ledgers").glob("*.sqlite"))


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[threading.Thread]:
    """Another program keeps the whole database for a while."""
    ready = threading.Event()

    def keep() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            ready.set()
            time.sleep(seconds)
            connection.execute("COMMIT")

    thread = threading.Thread(target=keep)
    thread.start()
    ready.wait()
    try:
        yield thread
    finally:
        thread.join()


@pytest.mark.fault
@pytest.mark.parametrize(("seconds", "waits"), [(8.0, True), (15.0, False)])
def test_a_lock_is_waited_for_and_then_told_and_no_run_is_lost(
    ledger: Ledger, home: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, waits: bool, record_property: object
) -> None:
    monkeypatch.setenv("FAKE_EPOCH_S", "0.05")
    ledger.submit(study(2, epochs=60))
    worker = Worker(ledger, "local", FAKE, slots=2)
    wait_until(lambda: all(row.epoch for row in ledger.runs()), worker.step)
    with locked(home / "ledger.db", seconds):
        if waits:
            ledger.submit(study(1, "later", first=9))
        else:
            with pytest.raises(Unavailable, match="is kept locked by another program; try again later"):
                ledger.submit(study(1, "later", first=9))
    stop = time.monotonic() + 120
    worker.run(lambda: all(row.settled for row in ledger.runs()) or time.monotonic() > stop)
    rows = ledger.runs()
    assert [(row.state, row.attempt) for row in rows] == [("finished", 1)] * (3 if waits else 2)
    lost = sum(row.epochs - len(ledger.metrics(row.run_id)) for row in rows)
    print({"locked_s": seconds, "runs": len(rows), "lost_epochs": lost})
    record_property("lost_epochs", lost)  # type: ignore[operator]
    assert lost == 0


def test_the_settings_of_sqlite(ledger: Ledger) -> None:
    with writing(ledger._engine) as connection:
        values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                  for name in ("journal_mode", "synchronous", "busy_timeout", "mmap_size")}  # fmt: skip
    assert values == {"journal_mode": "delete", "synchronous": 2, "busy_timeout": 10_000, "mmap_size": 0}


def test_the_migrations_end_in_the_schema(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with writing(ledger._engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def contents(path: Path) -> dict[str, tuple[int, str]]:
    """Rows and a hash of each table."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    return {
        name: (len(rows), hashlib.sha256(repr(sorted(map(repr, rows))).encode()).hexdigest())
        for name, rows in tables.items()
        if name not in ("alembic_version", "sqlite_sequence")
    }


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_an_older_ledger_opens_with_all_its_rows(home: Path, kept: Path, record_property: object) -> None:
    home.mkdir()
    shutil.copy(kept, home / "ledger.db")
    before = contents(kept)
    opened = Ledger()
    assert len(opened.runs()) == before["runs"][0]
    assert len(opened.studies()) == before["studies"][0]
    opened.close()
    after = contents(home / "ledger.db")
    record_property("rows", {name: rows for name, (rows, _) in after.items()})
    assert after == before
    assert before["runs"][0] > 0
    assert before["metrics"][0] > 0


def test_there_is_a_kept_ledger_of_each_schema() -> None:
    revisions = {path.stem[1:5] for path in (database.MIGRATIONS / "versions").glob("r*.py")}
    assert {path.stem for path in KEPT} == revisions
    assert max(revisions) == HEAD


def test_a_migration_is_one_transaction_and_keeps_what_is_there(
    ledger: Ledger, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A later revision, made up here: it adds a column, then it fails half-way: all or nothing."""
    ledger.submit(study(3))
    before = contents(home / "ledger.db")
    folder = tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, folder)
    revision = folder / "versions" / "r0002_note.py"
    text = (
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0002'\ndown_revision = '0001'\n"
        "def upgrade():\n    op.add_column('studies', sa.Column('note', sa.Text))\n"
    )
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    monkeypatch.setattr("dqviz.runs.schema.HEAD", "0002")
    revision.write_text(text + "    raise RuntimeError('half-way')\n")
    with pytest.raises(RuntimeError, match="half-way"):
        Ledger()
    assert contents(home / "ledger.db") == before
    revision.write_text(text)
    Ledger().close()
    after = contents(home / "ledger.db")
    assert {name: rows for name, (rows, _) in after.items()} == {name: rows for name, (rows, _) in before.items()}
    assert {name for name in after if after[name] != before[name]} == {"studies"}
    monkeypatch.undo()


def test_a_newer_ledger_is_refused_in_a_sentence(ledger: Ledger) -> None:
    with writing(ledger._engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="schema 9999, unknown to this version: update dqviz"):
        Ledger(ledger.url)


def test_a_file_that_is_no_ledger_is_refused_in_a_sentence(home: Path) -> None:
    home.mkdir()
    (home / "ledger.db").write_text("this is not a database, it only stands where one should be" * 20)
    with pytest.raises(Unavailable, match="cannot be used: file is not a database"):
        Ledger()


def test_eight_processes_may_open_a_new_ledger_at_once(home: Path) -> None:
    code = "from dqviz.runs.ledger import Ledger; print(len(Ledger().runs()))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=HERE.parents[1], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    assert [process.communicate()[0] for process in processes] == ["0\n"] * 8


def test_statements_compile_for_postgresql() -> None:
    """No server here: at least nothing in the tables or in the claim is SQLite's own."""
    from sqlalchemy import update
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    from dqviz.runs import holding
    from dqviz.runs.schema import runs

    claim = update(runs).where(holding._next(("train",)), holding._may_start("here", 1)).values(state="running")
    text = str(claim.returning(runs).compile(dialect=postgresql.dialect()))
    assert "RETURNING" in text
    for table in metadata.sorted_tables:
        assert table.name in str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert create_engine("sqlite://").dialect.name == "sqlite"
