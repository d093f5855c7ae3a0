"""Opening the ledger's database: settings measured for SQLite 3.40, transactions, migration."""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DatabaseError, OperationalError

from dqviz.errors import Unavailable
from dqviz.runs import schema

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 10.0
_WRITER_LOCK = 0x64717669  # PostgreSQL advisory lock: one writer at a time, as in SQLite


def connect(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine whose transactions take the write lock at their start (a deferred one fails late, PLATFORM.md)."""
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    path = make_url(url).database
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False})
    event.listen(engine, "connect", _set_sqlite)
    event.listen(engine, "begin", lambda connection: _begin_sqlite(connection, busy_timeout_s))
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that holds the write lock; Unavailable when somebody else keeps it too long."""
    with _plainly(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view that never waits for the write lock."""
    with _plainly(engine), engine.connect().execution_options(dqviz_read=True) as connection, connection.begin():
        yield connection


def migrate(engine: Engine) -> None:
    """Brings the database to the newest schema; alembic is only imported when there is something to do."""
    with reading(engine) as connection:
        if _revision(connection) == schema.HEAD:
            return
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins while it is imported
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with writing(engine) as connection:
        if _revision(connection) == schema.HEAD:  # another process was faster
            return
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            found = _revision(connection)
            raise Unavailable(f"The ledger has schema {found}, unknown to this version: update dqviz.") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


@contextmanager
def _plainly(engine: Engine) -> Iterator[None]:
    """Database faults that a person can do something about, in one sentence."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:  # the latter while a connection is being opened
        kind = type(getattr(error, "orig", error))
        if not isinstance(error, OperationalError) and kind not in (sqlite3.OperationalError, sqlite3.DatabaseError):
            raise  # a broken constraint or statement is a fault of the program
        cause = str(getattr(error, "orig", error))
        place = engine.url.render_as_string(hide_password=True)
        if "locked" in cause:
            raise Unavailable(f"The ledger {place} is kept locked by another program; try again later.") from error
        raise Unavailable(f"The ledger {place} cannot be used: {cause}.") from error


def _set_sqlite(connection: Any, _record: Any) -> None:
    """No WAL: 3.40.1 has the WAL-reset corruption bug (PLATFORM.md). Transactions are begun by hand."""
    connection.isolation_level = None
    for pragma in ("journal_mode=DELETE", "synchronous=FULL", "mmap_size=0", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection, busy_timeout_s: float) -> None:
    if connection.get_execution_options().get("dqviz_read"):
        connection.exec_driver_sql("BEGIN")
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA busy_timeout=0")
    try:
        _take_turn(raw, time.monotonic() + busy_timeout_s)
    finally:
        raw.execute(f"PRAGMA busy_timeout={int(1e3 * busy_timeout_s)}")


def _take_turn(raw: sqlite3.Connection, deadline: float) -> None:
    """SQLite's own waiting looks only every 100 ms after a while: with 6 busy writers one of them starved for 10 s."""
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.001, 0.005))


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get("dqviz_read"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
