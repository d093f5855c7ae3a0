"""Locks that the kernel releases when their holder dies (flock): no clock and no heartbeat decides who lives.

A stopped process still holds its lock, so it is not misjudged; kill -9 is seen in about a millisecond.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def try_lock(path: Path) -> int | None:
    """The locked file's descriptor, or None when somebody else holds it."""
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def held(path: Path) -> bool:
    """Does a living process hold this lock? A shared probe: it never stands in the way of another probe."""
    if not path.exists():
        return False
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_free(path: Path) -> None:
    """Blocks until the holder is dead or has let go."""
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock in the body; waits for it without limit."""
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_note(descriptor: int, note: dict[str, Any]) -> None:
    """Leaves a small note in the lock file (who holds it)."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def read_note(path: Path) -> dict[str, Any]:
    """The holder's note; {} when there is none yet."""
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
