"""Taking an upload in: bytes go to a separate, limited process; only its canonical file is kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from dqviz.errors import BadInput
from dqviz.runs.home import package_dir, uploads_dir

LARGEST_BYTES = 50_000_000
TIMEOUT_S = 10
SUFFIXES = (".csv", ".npz", ".safetensors")
NAME = re.compile(r"upload-[0-9a-f]{12}")
LONGEST_NAME = 200
UNREADABLE = "The upload could not be read within 1 GiB and 10 s; it is damaged or too large."


@dataclass(frozen=True)
class UploadResult:
    """An accepted upload. `name` is the data set's name, `display_name` the person's text: to be shown, never used."""

    name: str
    display_name: str
    notes: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def sentence(self) -> str:
        """What was understood, and what was decided for the person."""
        counts = [f"{self.facts[name]:,} {name}" for name in ("nodes", "edges", "features", "classes")]
        return " ".join([f"{', '.join(counts)}, largest in-degree {self.facts['max_in_degree']:,}.", *self.notes])


def accept(files: Mapping[str, bytes], display_name: str = "") -> UploadResult:
    """Check and store an upload (file name -> content). Raises BadInput in one sentence; then nothing is stored.

    Formats: an edge list CSV and a features CSV, or one .npz, or one .safetensors (see `dqviz.data.upload`).
    Of a file's name only the suffix counts, and only when it is one of SUFFIXES; without a display name the file names
    are shown instead. The same graph uploaded twice is one upload, with the newer display name.
    """
    check(files)
    folder = uploads_dir()
    # Inside the uploads folder, so that the moves below stay on one file system whatever TMPDIR is.
    with TemporaryDirectory(dir=folder, prefix=".staging-") as staging:
        stage = Path(staging)
        paths = [stage / f"{i}{suffix(name)}" for i, name in enumerate(files)]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        answer = parse(stage, paths)
        result = UploadResult(
            answer["name"], inert(display_name or ", ".join(files)), tuple(answer["notes"]), answer["facts"]
        )
        keep(stage, folder, result)
    return result


def uploads() -> list[UploadResult]:
    """All stored uploads, by display name; a side file that cannot be read is skipped."""
    found = []
    for path in uploads_dir().glob("upload-*.json"):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            result = UploadResult(row["name"], row["display_name"], tuple(row["notes"]), row["facts"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if result.name == path.stem and path.with_suffix(".safetensors").is_file():
            found.append(result)
    return sorted(found, key=lambda upload: (upload.display_name, upload.name))


def check(files: Mapping[str, bytes]) -> None:
    """What can be said without reading: number, size, suffix."""
    total = sum(map(len, files.values()))
    if total > LARGEST_BYTES:
        raise BadInput(
            f"The upload holds {total / 1e6:,.0f} MB; the most that is read is {LARGEST_BYTES / 1e6:.0f} MB."
        )
    suffixes = sorted(suffix(name) for name in files)
    if suffixes not in ([".csv", ".csv"], [".npz"], [".safetensors"]):
        raise BadInput("Upload an edge list .csv with a features .csv, or one .npz, or one .safetensors.")


def suffix(name: str) -> str:
    """One of SUFFIXES, or '' for anything else: no other part of a person's file name is ever used."""
    found = PurePosixPath(name).suffix.lower()
    return found if found in SUFFIXES else ""


def parse(stage: Path, paths: list[Path]) -> dict[str, Any]:
    """Answer of `python -m dqviz.data.parse`, which sets its own limits; the canonical file lies in `stage`."""
    # -P: the working folder, which may be anyone's, is not searched for modules.
    command = [sys.executable, "-P", "-m", "dqviz.data.parse", "--out", str(stage), *map(str, paths)]
    python_path = os.pathsep.join(filter(None, (str(package_dir().parent), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": python_path, "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, env=environment, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise BadInput(UNREADABLE) from error
    if "error" in answer:
        raise BadInput(str(answer["error"]))
    if done.returncode != 0 or not NAME.fullmatch(str(answer.get("name"))):
        raise BadInput(UNREADABLE)
    return answer


def keep(stage: Path, folder: Path, result: UploadResult) -> None:
    """Move the canonical file, then the side file: an upload exists once the side file is there."""
    row = {"name": result.name, "display_name": result.display_name, "notes": result.notes, "facts": result.facts}
    side = stage / f"{result.name}.json"
    with side.open("w", encoding="utf-8") as file:
        json.dump(row, file)
        file.flush()
        os.fsync(file.fileno())
    for ending in (".safetensors", ".json"):
        (stage / f"{result.name}{ending}").replace(folder / f"{result.name}{ending}")


def inert(text: str) -> str:
    """A person's text as one line: no control, direction or unassigned characters, 200 characters at most."""
    # Spaces first: a line's end is a control character too.
    spaced = (" " if letter.isspace() else letter for letter in text[:10_000])
    shown = "".join(letter for letter in spaced if not unicodedata.category(letter).startswith("C"))
    return " ".join(shown.split())[:LONGEST_NAME].strip() or "upload"
