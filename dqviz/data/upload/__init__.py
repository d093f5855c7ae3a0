"""Reading a person's upload: bytes to checked arrays, or one clear sentence. Never pickle, never torch, never a path.

Formats: two CSV files (edge list and features), or one .npz, or one .safetensors with the arrays `NAMES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from safetensors.numpy import save

from dqviz.data.arrays import Arrays
from dqviz.data.upload.checks import checked
from dqviz.data.upload.declared import LARGEST_BYTES, megabytes
from dqviz.data.upload.npz import read_npz
from dqviz.data.upload.table import read_tables
from dqviz.data.upload.tensors import read_safetensors
from dqviz.errors import BadInput

FORMATS = "upload an edge list .csv with a features .csv, or one .npz, or one .safetensors"


@dataclass(frozen=True)
class Parsed:
    """A checked graph: packed arrays with all three masks, and what was decided, one sentence each."""

    arrays: Arrays
    notes: tuple[str, ...]

    def canonical(self) -> tuple[str, bytes]:
        """The name (`upload-` and 12 digits of the content's sha256) and the safetensors bytes that are stored."""
        content = save({key: np.ascontiguousarray(value) for key, value in sorted(self.arrays.items())})
        return f"upload-{hashlib.sha256(content).hexdigest()[:12]}", content

    def facts(self) -> dict[str, Any]:
        """Counts for a form; the full facts are `dqviz.data.facts.facts` of the loaded task."""
        a = self.arrays
        shape = a["x_shape"] if "x_shape" in a else a["x"].shape
        return {
            "kind": "node",
            "nodes": int(shape[0]),
            "edges": int(a["edge_index"].shape[1]),
            "features": int(shape[1]),
            "classes": int(a["y"].max()) + 1,
            "max_in_degree": int(np.bincount(a["edge_index"][1]).max()),
        }


def parse(files: Mapping[str, bytes]) -> Parsed:
    """The graph in `files` (name -> content; of a name only its suffix counts). Raises BadInput in one sentence."""
    total = sum(map(len, files.values()))
    if total > LARGEST_BYTES:
        raise BadInput(f"The upload holds {megabytes(total)}; the most that is read is {megabytes(LARGEST_BYTES)}.")
    return Parsed(*checked(read(files)))


def read(files: Mapping[str, bytes]) -> Arrays:
    """Arrays as given, of the right names and declared sizes, their values unchecked."""
    suffixes = sorted(PurePosixPath(name).suffix.lower() for name in files)
    contents = list(files.values())
    if suffixes == [".npz"]:
        return read_npz(contents[0])
    if suffixes == [".safetensors"]:
        return read_safetensors(contents[0])
    if suffixes == [".csv", ".csv"]:
        return read_tables(contents)
    given = ", ".join(suffix[:20] or "a file without suffix" for suffix in suffixes[:5]) or "nothing"
    raise BadInput(f"This combination cannot be read ({given}): {FORMATS}.")
