"""Artifacts of a run: all of them appear at once, verified, or none does.

They are written under a temporary name beside their final folder (never in TMPDIR: it may be another device), each
file is fsynced, the manifest with every sha256 comes last, then one rename publishes the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqviz.columns import TABLES
from dqviz.errors import BadInput, Unavailable
from dqviz.runs import plain
from dqviz.runs.steps import step

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Staging:
    """Files on their way into `target`. `publish` makes them appear; `discard` removes them."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name}.staging-{os.getpid()}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def path(self, name: str) -> Path:
        """Where to write the file `name` (any writer: safetensors, an image)."""
        return self.folder / file_name(name)

    def write_json(self, name: str, value: Any) -> None:
        """`name` without its ending; NaN and infinity become null."""
        self.write_text(f"{name}.json", plain.dumps(value, indent=1))

    def write_text(self, name: str, text: str) -> None:
        with step("write"):
            self.path(name).write_text(text, encoding="utf-8")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Parquet (zstd). Raises ValueError when a column of TABLES[name] is missing."""
        missing = [str(column) for column in TABLES.get(name, ()) if column not in table.columns]
        if missing:
            raise ValueError(f"table {name!r} lacks the columns {missing}")
        with step("write"):
            table.to_parquet(self.path(f"{name}.parquet"), index=False, compression="zstd")

    def publish(self) -> None:
        """Fsync, manifest, rename, fsync of the parent folder. Raises FileExistsError when `target` is there."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name != MANIFEST)
        with step("fsync"):
            for name in names:
                fsync(self.folder / name)
        with step("manifest"):
            self._write_manifest(names)
        if self.target.exists():
            raise FileExistsError(f"{self.target} was published before")
        with step("rename"):
            self.folder.rename(self.target)
        with step("folder"):
            fsync(self.target.parent)

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_manifest(self, names: list[str]) -> None:
        files = {name: sha256(self.folder / name) for name in names}
        (self.folder / MANIFEST).write_text(plain.dumps({"sha256": files}, indent=1), encoding="utf-8")
        fsync(self.folder / MANIFEST)
        fsync(self.folder)


@contextmanager
def stage(target: Path) -> Iterator[Staging]:
    """Staging that is published when the body ends well and discarded when it does not."""
    staging = Staging(target)
    try:
        yield staging
        staging.publish()
    finally:
        staging.discard()


def write_table(staging: Staging, name: str, table: pd.DataFrame) -> None:
    staging.write_table(name, table)


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """One table of a finished run. Raises Unavailable when the run has none of that name."""
    import pandas as pd  # 0.4 s of import that a job without tables need not pay

    return pd.read_parquet(_found(folder, f"{name}.parquet"))


def read_json(folder: Path, name: str) -> Any:
    """`name` without its ending. Raises Unavailable when the run has none of that name."""
    return json.loads(_found(folder, f"{name}.json").read_text(encoding="utf-8"))


def verify(folder: Path) -> list[str]:
    """What is wrong with a published folder, one sentence each; [] when it is complete and unchanged."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"no readable manifest in {folder.name}: {error}"]
    problems = []
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif sha256(path) != digest:
            problems.append(f"{name} does not match its sha256")
    return problems


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces one file at once: temporary name beside it, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace(temporary: Path, path: Path) -> None:
    """Makes a finished temporary file appear under its name, durably."""
    fsync(temporary)
    temporary.replace(path)
    fsync(path.parent)


def _found(folder: Path, name: str) -> Path:
    path = folder / file_name(name)
    if not path.is_file():
        raise Unavailable(f"This run has no {name}.")
    return path


def file_name(name: str) -> str:
    """Names are never paths."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is not a file name: use letters, digits, '_', '-' and '.'.")
    return name


def fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
