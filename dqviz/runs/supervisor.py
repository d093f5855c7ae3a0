"""The worker: starts what is queued, notices what has died, enforces cancels, retries once. One per home and host.

It holds no state that matters: kill it at any time, the next one finds the running jobs by their locks.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from dqviz.errors import Stale, Unavailable
from dqviz.runs.engines import ENGINES, Ended, Engine
from dqviz.runs.home import home, package_dir
from dqviz.runs.ledger import KINDS, Ledger
from dqviz.runs.rows import Claim
from dqviz.runs.settling import settle

logger = logging.getLogger("dqviz.runs")

COMMAND = (sys.executable, "-m", "dqviz.jobs")
REMOTE_SILENCE_S = 60.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
# glibc gives blocks above 32 MB back to the system after every use, so a network on wide rows spends its time on page
# faults: an epoch of GIN on Cora took 330 ms, with these settings 81 ms (QAT: 685, 205). Other C libraries ignore them.
_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow starts a thread otherwise: a forge must have none
}


class Worker:
    """Call `step` again and again (or `run`). Use it under the worker's lock (`dqviz.runs.worker`) only.

    slots: threads that may be busy at once (default: cores). grace_s: from a cancel to SIGTERM, and from there to
    SIGKILL. retry_pause_s: how long an interrupted run is shown as such before its automatic retry.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine | str = "local",
        command: Sequence[str] = COMMAND,
        *,
        slots: int | None = None,
        grace_s: float = 5.0,
        retry_pause_s: float = 2.0,
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self.ledger = ledger
        self.engine = ENGINES[engine].make() if isinstance(engine, str) else engine
        self.name = f"{os.uname().nodename}:{os.getpid()}"
        self._command = tuple(command)
        self._slots = slots or os.cpu_count() or 1
        self._grace_s, self._retry_pause_s, self._kinds = grace_s, retry_pause_s, tuple(kinds)
        self._mine: dict[tuple[str, int], Claim] = {}
        self._unsettled: list[Ended] = []
        self._since: dict[object, float] = {}  # monotonic times at which something was first seen
        self._asked: set[object] = set()

    def run(self, stop: Callable[[], bool], poll_s: float = 0.25) -> None:
        """Steps until `stop()`; a locked ledger is waited for. Running jobs are left running."""
        try:
            while not stop():
                try:
                    self.step()
                except Unavailable as error:
                    logger.warning("%s", error)
                self.engine.wake.wait(poll_s)
        finally:
            self.engine.close()

    def step(self) -> None:
        running = self.ledger.running()
        self._adopt(running)
        self._settle()
        self._press(running)
        self._judge_silent(running)
        self._retry()
        self._fill()
        self._forget()

    def _adopt(self, running: Sequence[Claim]) -> None:
        """Jobs of this host that an earlier worker has started: watched again, or found dead."""
        for claim in running:
            if claim.host != self.ledger.host or claim.key in self._mine:
                continue
            self._mine[claim.key] = claim
            if self.engine.adopt(claim):
                logger.info("found run %s attempt %d again", *claim.key)
            else:
                self._unsettled.append(Ended(claim, None, None, killed_for_memory=False))

    def _settle(self) -> None:
        self._unsettled += self.engine.ended()
        while self._unsettled:
            ended = self._unsettled[0]
            try:
                state = settle(self.ledger, ended)
            except Stale:
                state = None
            self._unsettled.pop(0)  # only now: a locked ledger raises above, and the end is not forgotten
            self._mine.pop(ended.claim.key, None)
            if state:
                logger.info("run %s attempt %d: %s", *ended.claim.key, state)

    def _press(self, running: Sequence[Claim]) -> None:
        """A cancel is cooperative at first, then SIGTERM, then SIGKILL."""
        for claim in running:
            if claim.cancel and claim.key in self._mine:
                waited_s = self._seen(("cancel", claim.key))
                if waited_s > 2 * self._grace_s:
                    self.engine.send(claim, signal.SIGKILL)
                elif waited_s > self._grace_s:
                    self.engine.send(claim, signal.SIGTERM)

    def _judge_silent(self, running: Sequence[Claim]) -> None:
        """Runs of other hosts, whose locks cannot be seen: interrupted when their count of beats stands still."""
        for claim in running:
            if claim.host != self.ledger.host and self._seen((claim.key, claim.beats)) > REMOTE_SILENCE_S:
                try:
                    self.ledger.interrupt(claim, f"No sign of life from {claim.host} for {REMOTE_SILENCE_S:.0f} s.")
                except Stale:
                    logger.info("run %s attempt %d has ended meanwhile", *claim.key)

    def _retry(self) -> None:
        for key in self.ledger.pending_retries():
            if self._seen(("retry", key)) >= self._retry_pause_s and self.ledger.requeue(*key):
                logger.info("run %s: attempt %d was interrupted, it is tried once more", *key)

    def _fill(self) -> None:
        while self.ledger.has_queued(self._kinds):
            free = self._slots - sum(claim.threads for claim in self._mine.values())
            if free <= 0 and self._mine:
                return
            claim = self.ledger.claim(self.name, self._kinds, free=free)
            if claim is None:
                return
            self._start(claim)

    def _start(self, claim: Claim) -> None:
        self._mine[claim.key] = claim
        try:
            self.engine.start(claim, self._command, environment(self.ledger, claim))
        except OSError as error:
            del self._mine[claim.key]
            self.ledger.fail(claim, f"The job could not be started: {error.strerror or error}.")

    def _seen(self, what: object) -> float:
        """Seconds since this was first asked about, by a clock that never jumps."""
        now = time.monotonic()
        self._asked.add(what)
        return now - self._since.setdefault(what, now)

    def _forget(self) -> None:
        """What was not asked about in this step is over."""
        self._since = {what: since for what, since in self._since.items() if what in self._asked}
        self._asked.clear()


def environment(ledger: Ledger, claim: Claim) -> dict[str, str]:
    """The job's variables: the same home and ledger, its number of threads, and a way to import dqviz."""
    threads = dict.fromkeys(_THREAD_VARIABLES, str(claim.threads))
    path = os.pathsep.join(filter(None, (str(package_dir().parent), os.environ.get("PYTHONPATH"))))
    places = {"DQVIZ_HOME": str(home()), "DQVIZ_DATABASE": ledger.url, "PYTHONPATH": path}
    return {**_ALLOCATOR, **os.environ, **threads, **places}


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set, so that the loop ends between two steps."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
