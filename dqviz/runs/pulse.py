"""A job's line to the ledger: a thread that writes epochs with the heartbeat and hears of a cancel.

The training never waits for the database; while the ledger is locked, epochs are kept and written later.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from dqviz.errors import Stale, Unavailable
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import Claim

TICK_S = 0.5
BEAT_S = 5.0


class Pulse:
    """`stop_asked` and `stale` are what the job looks at; `put` hands over an epoch."""

    def __init__(self, ledger: Ledger, claim: Claim, tick_s: float = TICK_S) -> None:
        self.stop_asked = claim.cancel
        self.stale: Stale | None = None
        self._ledger, self._claim, self._tick_s = ledger, claim, tick_s
        self._rows: list[dict[str, Any]] = []
        self._guard = threading.Lock()
        self._quit = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, row: dict[str, Any]) -> None:
        with self._guard:
            self._rows.append(row)

    def close(self) -> None:
        """Stops the thread; `flush` then writes what is left."""
        self._quit.set()
        if self._thread.is_alive():
            self._thread.join()

    def flush(self) -> None:
        """Writes the waiting epochs now. Raises Stale, or Unavailable when the ledger stays locked."""
        with self._guard:
            rows, self._rows = self._rows, []
        try:
            self.stop_asked = self._ledger.beat(self._claim, rows) or self.stop_asked
        except BaseException:
            with self._guard:
                self._rows = rows + self._rows
            raise

    def _run(self) -> None:
        last = time.monotonic()
        while not self._quit.wait(self._tick_s):
            try:
                if self._rows or time.monotonic() - last >= BEAT_S:
                    self.flush()
                    last = time.monotonic()
                elif self._ledger.cancel_asked(self._claim):
                    self.stop_asked = True
            except Unavailable:
                continue
            except Stale as error:
                self.stale = error
                return
