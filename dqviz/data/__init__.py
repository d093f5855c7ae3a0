"""Data sets: names to Tasks (graphs, split, facts), uploads included.

Names are resolved on first use: the upload parser (`python -m dqviz.data.parse`) lives in this package and must not
import torch, whose address space alone is above its limit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dqviz.data.loading import DATASETS as DATASETS
    from dqviz.data.loading import load as load
    from dqviz.data.stats import STATS as STATS
    from dqviz.data.task import Task as Task

__all__ = ["DATASETS", "STATS", "Task", "load"]

_HOME = {"DATASETS": "loading", "load": "loading", "STATS": "stats", "Task": "task"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return globals()[name]
