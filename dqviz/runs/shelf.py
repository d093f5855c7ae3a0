"""A shipped study's folder in the checkout: replaced as a whole, or left as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dqviz.errors import BadInput
from dqviz.runs.artifacts import fsync

STUDY = "study.json"
"""The file by which a folder is known to be a study's."""


def require_replaceable(target: Path) -> None:
    """Raises BadInput where `target` holds anything but a study: replacing would delete it."""
    foreign = target.exists() and not (target / STUDY).is_file()
    if foreign and not (target.is_dir() and not any(target.iterdir())):
        raise BadInput(f"{str(target)!r} holds something else than a study; name a new folder.")


@contextmanager
def replacing(target: Path, budget_bytes: int, what: str) -> Iterator[Path]:
    """An empty folder beside `target`, which takes its place when the body ends well.

    A kill between the two renames leaves the old study under its hidden name; the next call puts it back first. Raises
    BadInput where `target` holds something else than a study, or for files of more than `budget_bytes`.
    """
    beside, old = (target.with_name(f".{target.name}.{end}") for end in ("new", "old"))
    if old.exists() and not target.exists():
        old.rename(target)
    require_replaceable(target)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        if (size := size_of(beside)) > budget_bytes:
            raise BadInput(f"{what} takes {size:,} bytes; the budget is {budget_bytes:,}.")
        _replace(beside, target, old)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _replace(beside: Path, target: Path, old: Path) -> None:
    for path in [*beside.rglob("*"), beside]:
        fsync(path)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    beside.rename(target)
    fsync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
