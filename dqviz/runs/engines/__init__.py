"""Engines place the processes of claimed runs, by name: `local` here, others can be added to the registry."""

from __future__ import annotations

from dqviz.registry import Entry, Registry
from dqviz.runs.engines.base import Ended, Engine
from dqviz.runs.engines.local import Local

__all__ = ["ENGINES", "Ended", "Engine", "Local"]

ENGINES: Registry[Engine] = Registry("engine")
ENGINES.add(Entry("local", "One operating-system process a run, on this machine.", Local))
