"""Processes on this machine. Each has its own session (Ctrl-C on the worker does not reach it) and holds a lock on a
file in its folder: the kernel lets go of it when the process dies, whoever started it, whatever the clock says.
Trainings are forked from a process that has imported torch already (forge.py); where that fails they are started anew.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from dqviz.runs import locks, memory
from dqviz.runs.engines.base import Ended
from dqviz.runs.engines.forge import Forge, Forges, Order
from dqviz.runs.job import LOCK_FD, MEMORY_BYTES
from dqviz.runs.rows import Claim

LINGER_S = 0.3
"""How long a lock may still lie in the mail of a forge that has died."""


class Local:
    """`memory_bytes` limits the data of each job (None: no limit). `forge`: fork trainings from a warm process."""

    def __init__(self, memory_bytes: int | None = None, *, forge: bool = sys.platform == "linux") -> None:
        self.wake = threading.Event()
        self._memory_bytes = memory_bytes
        self._forges = Forges() if forge else None
        self._children: dict[tuple[str, int], Child] = {}
        self._gone: deque[Claim] = deque()

    def start(self, claim: Claim, command: Sequence[str], environment: dict[str, str]) -> None:
        claim.folder.mkdir(parents=True, exist_ok=True)
        descriptor = locks.try_lock(claim.lock)
        if descriptor is None:
            raise BlockingIOError(f"attempt {claim.attempt} of run {claim.run_id} is running already")
        limits = {MEMORY_BYTES: str(self._memory_bytes)} if self._memory_bytes else {}
        order = Order(claim, tuple(command), {**environment, **limits}, descriptor, {"oom_kills": memory.oom_kills()})
        if not self._order(order):
            self._start_anew(order)

    def adopt(self, claim: Claim) -> bool:
        if not locks.held(claim.lock):
            return False
        self._watch(claim)
        return True

    def ended(self) -> list[Ended]:
        self.wake.clear()
        if self._forges:
            self._welcome(*self._forges.hear())
        gone = []
        while self._gone:
            gone.append(self._reap(self._gone.popleft()))
        return gone

    def send(self, claim: Claim, number: signal.Signals) -> None:
        pid = locks.read_note(claim.lock).get("pid")
        if isinstance(pid, int) and locks.held(claim.lock):  # while the lock is held the number is still theirs
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def close(self) -> None:
        if self._forges:
            self._welcome(*self._forges.close())

    def _order(self, order: Order) -> bool:
        """Asks a forge; False when this job is to be started without one."""
        if self._forges is None or not forgeable(order):
            return False
        try:
            locks.write_note(order.lock, order.note)
            return self._forges.take(order)
        except OSError:
            os.close(order.lock)
            raise

    def _welcome(self, born: Sequence[tuple[Order, int, Forge]], lost: Sequence[Order]) -> None:
        for order, pid, forge in born:
            os.close(order.lock)  # the child's copy keeps the lock
            self._children[order.claim.key] = Forged(pid, forge)
            self._watch(order.claim)
        for order in lost:
            os.close(order.lock)
            try:
                self._start_lost(order)
            except OSError:  # settled as a process that is gone, and tried once more
                self._gone.append(order.claim)

    def _start_lost(self, order: Order) -> None:
        """Its forge has died: started anew, unless the forge had forked it without having had time to say so.

        A job that was born has left its number in the lock's note, and may have ended since: then it is settled, not
        started twice.
        """
        deadline = time.monotonic() + LINGER_S
        while not born(order.claim) and locks.held(order.claim.lock) and time.monotonic() < deadline:
            time.sleep(0.01)
        descriptor = None if born(order.claim) else locks.try_lock(order.claim.lock)
        if descriptor is not None:
            self._start_anew(replace(order, lock=descriptor))
        else:
            self._watch(order.claim)

    def _start_anew(self, order: Order) -> None:
        try:
            pid = self._spawn(order)
            locks.write_note(order.lock, order.note | {"pid": pid})
        finally:
            os.close(order.lock)  # the child's copy keeps the lock
        self._children[order.claim.key] = Spawned(pid)
        self._watch(order.claim)

    def _spawn(self, order: Order) -> int:
        with order.claim.log.open("ab") as log:
            child = subprocess.Popen(
                [*order.command, *map(str, order.claim.key)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=order.environment | {LOCK_FD: str(order.lock)}, pass_fds=(order.lock,), start_new_session=True,
            )  # fmt: skip
        child.returncode = 0  # it is waited for by its number, in _reap or never: it may outlive us
        return child.pid

    def _watch(self, claim: Claim) -> None:
        """One sleeping thread a job: it wakes within a millisecond of the death."""

        def wait() -> None:
            locks.wait_free(claim.lock)
            self._gone.append(claim)
            self.wake.set()

        threading.Thread(target=wait, name=f"watch-{claim.run_id}", daemon=True).start()

    def _reap(self, claim: Claim) -> Ended:
        before = int(locks.read_note(claim.lock).get("oom_kills", 1 << 62))
        counted = memory.oom_kills() > before
        child = self._children.pop(claim.key, None)
        code, peak_bytes = child.wait() if child else (None, None)
        return Ended(claim, code, peak_bytes, counted and code in (None, -signal.SIGKILL))


class Child(Protocol):
    def wait(self) -> tuple[int | None, int | None]:
        """Ends the rest of its session; exit code and peak memory in bytes, None where they cannot be known."""


@dataclass(frozen=True)
class Spawned:
    """A process that this one has started; its number is ours until we wait."""

    pid: int

    def wait(self) -> tuple[int | None, int | None]:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:  # somebody else has waited for it
            return None, None
        return os.waitstatus_to_exitcode(status), memory.rusage_peak_bytes(usage, memory.peak_bytes())


@dataclass(frozen=True)
class Forged:
    """A process that a forge has forked: the forge waits for it."""

    pid: int
    forge: Forge

    def wait(self) -> tuple[int | None, int | None]:
        told = self.forge.wait(self.pid)
        status = told.get("status")
        return (None if status is None else os.waitstatus_to_exitcode(status)), told.get("peak_bytes")


def born(claim: Claim) -> bool:
    """Has a process of this attempt come so far as to say which it is?"""
    return "pid" in locks.read_note(claim.lock)


def forgeable(order: Order) -> bool:
    """Trainings on one thread by a program that is a module (`python -m NAME`, which must know `--forge`).

    More threads would be started while the forge imports; a measurement is to have a process of its own from the start.
    """
    claim = order.claim
    return claim.kind == "train" and claim.threads == 1 and len(order.command) == 3 and order.command[1] == "-m"
