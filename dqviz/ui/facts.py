"""Facts of a data set (counts, degree table, layout), made once by a separate process: loading needs torch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

import dqviz
from dqviz.errors import BadInput, Unavailable
from dqviz.runs.home import cache_dir, shipped_facts
from dqviz.spec import Scalar

# The largest embedded set takes seconds; a download through torch_geometric may take minutes.
TIMEOUT_S = 300
# Made by that very command and shipped (a test compares): the first page a person opens need not wait for torch.
SHIPPED = ("citeseer", "cora", "digits-knn", "karate")


def facts(dataset: str, settings: Mapping[str, Scalar] | None = None) -> dict[str, Any]:
    """What `python -m dqviz facts NAME --json` prints, kept on disk and in memory.

    Raises BadInput or Unavailable with that command's own sentence.
    """
    return _facts(dataset, tuple(f"{name}={value}" for name, value in sorted((settings or {}).items())))


@st.cache_data(max_entries=64, show_spinner="Reading the data set")
def _facts(dataset: str, settings: tuple[str, ...]) -> dict[str, Any]:
    shipped = shipped_facts(dataset) if dataset in SHIPPED and not settings else None
    path = shipped or cached_at(dataset, settings)
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    options = [part for setting in settings for part in ("--set", setting)]
    made = run_facts([sys.executable, "-m", "dqviz", "facts", dataset, *options, "--json"])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(made), encoding="utf-8")
    unfinished.replace(path)
    return made


def cached_at(dataset: str, settings: tuple[str, ...]) -> Path:
    """File of these facts; a name is hashed, never part of a path."""
    name = hashlib.sha256("\n".join((dqviz.__version__, dataset, *settings)).encode()).hexdigest()[:16]
    return cache_dir() / "facts" / f"{name}.json"


def run_facts(command: list[str]) -> dict[str, Any]:
    """The JSON document `command` prints; its last line of complaint as an exception when it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"The data set was not read within {TIMEOUT_S} s; is its download blocked?") from error
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout)
        return result
    sentence = (done.stderr.strip().splitlines() or ["the process ended without a message"])[-1]
    raise BadInput(sentence) if done.returncode == 2 else Unavailable(f"The data set cannot be read: {sentence}")
