"""Where a run comes from: versions, processor, threads, seed, commit, works cited."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dqviz import __version__
from dqviz.bench.protocol import processor
from dqviz.methods import METHODS
from dqviz.nn import ARCHS
from dqviz.spec import RunSpec

PACKAGES = ("torch", "torch_geometric", "numpy", "pandas", "scipy", "numba")


def provenance(spec: RunSpec) -> dict[str, Any]:
    """What a reader needs to run this again and to cite it."""
    return {
        "dqviz": __version__,
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": processor(),
        "cpu_count": os.cpu_count(),
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "seed": spec.seed,
        "commit": commit(),
        "citations": sorted(METHODS[spec.method].works(spec.method_settings) | set(ARCHS[spec.arch].cites)),
        "selection": "model of the best validation accuracy (ties: lower validation loss); test split read once",
    }


def commit() -> str | None:
    """Commit of the checkout this package lies in, or None outside one."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
