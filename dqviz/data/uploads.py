"""Loading what a person uploaded: only the canonical file that the separate parser wrote, never the upload itself."""

from __future__ import annotations

import hashlib
import json
import re

from safetensors.numpy import load

from dqviz.data.paths import uploads_dir
from dqviz.data.splits import PARTS
from dqviz.data.task import Task, node_task
from dqviz.errors import BadInput

NAME = re.compile(r"upload-[0-9a-f]{12}")


def is_upload(name: str) -> bool:
    """True for names of the form of an upload; anything else never becomes part of a path."""
    return NAME.fullmatch(name) is not None


def load_upload(name: str) -> Task:
    """The uploaded graph. Raises BadInput when there is none of that name, or its file is damaged."""
    folder = uploads_dir()
    path, side = folder / f"{name}.safetensors", folder / f"{name}.json"
    if not is_upload(name) or not (path.is_file() and side.is_file()):
        names = ", ".join(sorted(p.stem for p in folder.glob("upload-*.json"))) or "none yet"
        raise BadInput(f"There is no upload {name!r} here; uploads: {names}.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest()[:12] != name.removeprefix("upload-"):
        raise BadInput(f"The stored file of {name!r} is damaged; upload it again.")
    arrays = load(content)
    notes = json.loads(side.read_text(encoding="utf-8"))["notes"]
    return node_task(name, arrays, {part: arrays[f"{part}_mask"] for part in PARTS}, notes=tuple(notes))
