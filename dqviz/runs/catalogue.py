"""What is registered (data sets, architectures, methods, observers), known without importing torch.

`python -m dqviz catalog --json` writes it in a separate process whenever the code has changed; forms are built from it
and settings are checked against its JSON schemas.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from dqviz.errors import BadInput, Unavailable, unknown
from dqviz.runs.artifacts import write_atomically
from dqviz.runs.home import cache_dir, package_dir
from dqviz.runs.uploads import NAME, uploads
from dqviz.spec import RunSpec

KINDS = {"dataset": "data set", "arch": "architecture", "method": "method", "observer": "observer"}
COMMAND = (sys.executable, "-m", "dqviz", "catalog", "--json")
TIMEOUT_S = 180


@dataclass(frozen=True)
class Row:
    """One registered variant; `schema` is the JSON schema of its settings."""

    name: str
    summary: str
    schema: dict[str, Any] = field(default_factory=dict)
    cites: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """Rows by kind: dataset, arch, method, observer."""

    datasets: tuple[Row, ...]
    archs: tuple[Row, ...]
    methods: tuple[Row, ...]
    observers: tuple[Row, ...] = ()

    def rows(self, kind: str) -> tuple[Row, ...]:
        found: tuple[Row, ...] = getattr(self, f"{kind}s")
        return found

    def names(self, kind: str) -> list[str]:
        return [row.name for row in self.rows(kind)]

    def defaults(self, kind: str, setting: str) -> dict[str, Any]:
        """Name -> default of a setting, of those that have it."""
        found = {row.name: row.schema.get("properties", {}).get(setting, {}) for row in self.rows(kind)}
        return {name: schema["default"] for name, schema in found.items() if "default" in schema}

    def row(self, kind: str, name: str) -> Row:
        """Raises BadInput that lists the choices for an unknown name."""
        for row in self.rows(kind):
            if row.name == name:
                return row
        raise unknown(KINDS[kind], name, self.names(kind))


def catalogue() -> Catalogue:
    """The catalogue of the code as it is. Raises Unavailable when the command that makes it fails."""
    return _read(code_digest())


def read_catalogue(document: Mapping[str, Sequence[Mapping[str, Any]]]) -> Catalogue:
    """From the document that `dqviz catalog --json` prints."""
    return Catalogue(**{f"{kind}s": tuple(_row(row) for row in document.get(f"{kind}s", ())) for kind in KINDS})


def check(spec: RunSpec, known: Catalogue) -> None:
    """Raises BadInput in one sentence: an unknown name (with the choices) or settings that do not fit."""
    if NAME.fullmatch(spec.dataset):
        _check_upload(spec)
    else:
        _check_settings("dataset", known.row("dataset", spec.dataset), spec.dataset_settings)
    _check_settings("arch", known.row("arch", spec.arch), spec.arch_settings)
    _check_settings("method", known.row("method", spec.method), spec.method_settings)


def check_all(specs: Iterable[RunSpec]) -> None:
    """`check` for every run of a study, before any is queued."""
    known = catalogue()
    for spec in specs:
        check(spec, known)


def code_digest() -> str:
    """Hash over path, size and time of every Python file of the package: 3 ms, and new after any edit."""
    root = package_dir()
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(root.rglob("*.py")):
        about = path.stat()
        digest.update(f"{path.relative_to(root)} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=2)
def _read(digest: str) -> Catalogue:
    path = cache_dir() / f"catalog-{digest}.json"
    if not path.is_file():
        _make(path)
    return read_catalogue(json.loads(path.read_text(encoding="utf-8")))


def _make(path: Path) -> None:
    python_path = os.pathsep.join(filter(None, (str(package_dir().parent), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": python_path}
    try:
        done = subprocess.run(COMMAND, capture_output=True, timeout=TIMEOUT_S, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"The catalogue was not made within {TIMEOUT_S} s.") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Unavailable(f"The catalogue could not be made: {words[-1]}")
    json.loads(done.stdout)  # never keep a document that cannot be read
    write_atomically(path, done.stdout)


def _row(row: Mapping[str, Any]) -> Row:
    return Row(row["name"], row["summary"], row.get("schema") or {}, tuple(row.get("cites", ())), row.get("facts", {}))


def _check_upload(spec: RunSpec) -> None:
    names = [upload.name for upload in uploads()]
    if spec.dataset not in names:
        raise BadInput(f"There is no upload {spec.dataset!r} here; uploads: {', '.join(names) or 'none yet'}.")
    if spec.dataset_settings:
        raise BadInput(f"The upload {spec.dataset!r} has no settings.")


def _check_settings(kind: str, row: Row, values: Mapping[str, Any]) -> None:
    subject = f"Settings of {KINDS[kind]} {row.name!r}"
    properties: dict[str, Any] = row.schema.get("properties", {})
    strangers = sorted(set(values) - set(properties))
    if strangers:
        choices = ", ".join(properties) or "none"
        raise BadInput(f"{subject}: unknown setting {strangers[0]!r}; its settings are: {choices}.")
    problems = sorted(Draft202012Validator(row.schema).iter_errors(dict(values)), key=lambda error: str(error.path))
    if problems:
        where = ".".join(map(str, problems[0].path)) or "value"
        raise BadInput(f"{subject}: {where}: {problems[0].message}.")
    for low, high in row.schema.get("x-ascending", ()):
        below, above = (values.get(name, properties.get(name, {}).get("default")) for name in (low, high))
        if below is not None and above is not None and below > above:
            raise BadInput(f"{subject}: {low} must not be above {high} ({below} > {above}).")
