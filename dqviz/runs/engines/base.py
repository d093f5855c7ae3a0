"""What a worker asks of an engine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dqviz.runs.rows import Claim


@dataclass(frozen=True)
class Ended:
    """How the process of a claim ended. `code` as in subprocess (negative: signal), None when it cannot be known."""

    claim: Claim
    code: int | None
    peak_bytes: int | None
    killed_for_memory: bool

    @property
    def in_words(self) -> str:
        if self.code is None:
            return "The job's process is gone."
        if self.code < 0:
            return f"The job's process was killed by {signal.Signals(-self.code).name}."
        return f"The job's process ended with code {self.code} before it had finished."


class Engine(Protocol):
    """Starts processes, notices their end, passes signals on. It never writes to the ledger."""

    wake: threading.Event
    """Set whenever a process has ended."""

    def start(self, claim: Claim, command: Sequence[str], environment: dict[str, str]) -> None:
        """Starts the process of a claim. Raises OSError when it cannot."""

    def adopt(self, claim: Claim) -> bool:
        """Watches a process that an earlier worker started; False when it no longer lives."""

    def ended(self) -> list[Ended]:
        """Processes that have ended since the last call."""

    def send(self, claim: Claim, number: signal.Signals) -> None:
        """A signal to the process and all it has started."""

    def close(self) -> None:
        """Lets go of whatever the engine keeps for jobs to come; those that run go on."""
