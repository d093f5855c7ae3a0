"""What `dqviz doctor` finds out: each question has an answer even where something is broken or missing."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from dqviz import __version__
from dqviz.errors import Unavailable
from dqviz.runs import worker
from dqviz.runs.home import database_url, home
from dqviz.runs.ledger import Ledger

PACKAGES = ("torch", "torch_geometric", "numpy", "scipy", "pandas", "numba", "streamlit", "plotly", "SQLAlchemy")
CPU_FLAGS = ("avx2", "f16c", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp")


def health() -> dict[str, Any]:
    """JSON of `doctor --json`."""
    return {
        "dqviz": __version__, "python": platform.python_version(), "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES}, "cpu": cpu(), "backends": backends(),
        "quantizers": quantizers(), "datasets": datasets(), "database": database(), "home": str(home()),
        "data": os.environ.get("DQVIZ_DATA") or None, "browser": browser(), "ok": True,
    }  # fmt: skip


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu() -> dict[str, Any]:
    """Model, cores, and which of the instruction sets that kernels care about are here."""
    text = read(Path("/proc/cpuinfo"))
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in values.items()}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "features": [flag for flag in CPU_FLAGS if flag in flags],
    }  # fmt: skip


def quantizers() -> dict[str, Any]:
    """Whether training quantizes in C, and why not (torch then does it, more slowly, with the same bits)."""
    from dqviz.quant import passes

    return {"native": passes.built(), "reason": None if passes.built() else passes.library()}


def backends() -> list[dict[str, Any]]:
    """Kernel backends, and why one cannot run here."""
    from dqviz.integer.kernels import BACKENDS

    missing = {entry.name: entry.facts["class"].missing() for entry in BACKENDS}
    return [{"name": name, "available": not why, "reason": why or None} for name, why in missing.items()]


def datasets() -> list[dict[str, Any]]:
    """Data sets and whether each can be read without a network."""
    from dqviz.data import DATASETS

    return [{"name": entry.name, **found(entry.name, bool(entry.facts.get("embedded")))} for entry in DATASETS]


def found(name: str, embedded: bool) -> dict[str, Any]:
    """A folder of the set's name, in any case, that holds raw files: under DQVIZ_DATA or among the downloads."""
    from dqviz.data.paths import cache_dir, data_dir

    if embedded:
        return {"found": True, "where": "embedded"}
    roots = [root for root in (data_dir(), cache_dir() / "raw") if root and root.is_dir()]
    folders = [folder for root in roots for folder in root.iterdir() if folder.name.casefold() == name]
    where = next((folder for folder in folders if (folder / "raw").is_dir() and any((folder / "raw").iterdir())), None)
    return {"found": where is not None, "where": str(where) if where else None}


def database() -> dict[str, Any]:
    """Where the ledger is and whether it opens; a password in its address is not shown."""
    place = make_url(database_url()).render_as_string(hide_password=True)
    try:
        studies = len(Ledger().studies())
    except (Unavailable, OSError, ImportError, SQLAlchemyError) as error:
        return {"url": place, "ok": False, "error": str(error)}
    return {"url": place, "ok": True, "studies": studies, "worker_alive": worker.alive()}


def browser() -> str | None:
    """The Chromium that prints PDF."""
    from dqviz.report.formats.pdf import find_browser

    try:
        return find_browser()
    except Unavailable:
        return None


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return sys.platform
