"""Running a worker: as a program of its own, or beside a waiting command when none is alive."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dqviz.runs import locks
from dqviz.runs.engines import Engine
from dqviz.runs.home import home
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import RunRow
from dqviz.runs.supervisor import COMMAND, Worker, stop_on_signals

__all__ = ["Worker", "alive", "main_loop", "wait", "wait_for"]

logger = logging.getLogger("dqviz.runs")


def lock_path() -> Path:
    """One worker per home and host holds this lock."""
    return home() / f"worker-{socket.gethostname()}.lock"


def alive() -> bool:
    """Is a worker at work on this host?"""
    return locks.held(lock_path())


def main_loop(
    ledger: Ledger | None = None,
    engine: Engine | str = "local",
    command: Sequence[str] = COMMAND,
    *,
    stop: threading.Event | None = None,
    patient: bool = False,
    slots: int | None = None,
    idle_s: float | None = None,
) -> bool:
    """Works until SIGINT or SIGTERM (or `stop`), or until nothing was active for `idle_s`. Jobs are left running.

    Where another worker is alive: False at once, or with `patient` its successor when it ends.
    """
    stop = stop or stop_on_signals()
    while not stop.is_set():
        with _worker_lock() as mine:
            if mine:
                worker = Worker(ledger or Ledger(), engine, command, slots=slots)
                logger.info("worker %s started with %s", worker.name, home())
                worker.run(_until(stop, worker.ledger, idle_s))
                return True
        if not patient:
            logger.info("a worker is alive already (process %s)", locks.read_note(lock_path()).get("pid", "unknown"))
            return False
        stop.wait(1.0)
    return True


def wait(
    study_id: str,
    ledger: Ledger | None = None,
    *,
    progress: Callable[[list[RunRow]], None] = lambda _rows: None,
    engine: Engine | str = "local",
    command: Sequence[str] = COMMAND,
    poll_s: float = 0.5,
) -> list[RunRow]:
    """Returns the runs of a study once nothing more will happen to them; works itself while no worker is alive.

    `progress` gets the rows about every `poll_s`. KeyboardInterrupt leaves running jobs running.
    """
    ledger = ledger or Ledger()
    run_ids = [row.run_id for row in ledger.runs(study_id)]
    return wait_for(run_ids, ledger, progress, engine=engine, command=command, poll_s=poll_s)


def wait_for(
    run_ids: Sequence[str],
    ledger: Ledger,
    progress: Callable[[list[RunRow]], None] = lambda _rows: None,
    *,
    engine: Engine | str = "local",
    command: Sequence[str] = COMMAND,
    poll_s: float = 0.5,
) -> list[RunRow]:
    """As `wait`, for any runs."""
    rows = following(run_ids, ledger)

    def settled() -> bool:
        now = rows()
        progress(now)
        return all(row.settled for row in now)

    while not settled():
        with _worker_lock() as mine:
            if mine:
                Worker(ledger, engine, command).run(_seldom(settled, poll_s))
        time.sleep(poll_s)
    return rows()


def following(run_ids: Sequence[str], ledger: Ledger) -> Callable[[], list[RunRow]]:
    """Asks for the rows of runs as they are now.

    Those that have settled are not read again: a ledger may hold thousands, and who waits for a training must not take
    a tenth of a core from it.
    """
    known = {run_id: ledger.run(run_id) for run_id in run_ids}

    def rows() -> list[RunRow]:
        active = {row.run_id: row for row in ledger.active()}
        for run_id, row in known.items():
            known[run_id] = active.get(run_id) or (row if row.settled else ledger.run(run_id))
        return list(known.values())

    return rows


@contextmanager
def _worker_lock() -> Iterator[bool]:
    """Holds the worker's lock in the body; False when another process has it."""
    descriptor = locks.try_lock(lock_path())
    try:
        if descriptor is not None:
            locks.write_note(descriptor, {"pid": os.getpid()})
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _seldom(ask: Callable[[], bool], every_s: float) -> Callable[[], bool]:
    """`ask`, at most once in `every_s`; the loop around it may turn faster."""
    last = float("-inf")

    def answer() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < every_s:
            return False
        last = now
        return ask()

    return answer


def _until(stop: threading.Event, ledger: Ledger, idle_s: float | None) -> Callable[[], bool]:
    busy = time.monotonic()

    def over() -> bool:
        nonlocal busy
        if idle_s is not None and not stop.is_set():
            busy = time.monotonic() if ledger.active() else busy
            return time.monotonic() - busy > idle_s
        return stop.is_set()

    return over
