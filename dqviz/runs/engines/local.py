"""Processes on this machine. Each has its own session (Ctrl-C on the worker does not reach it) and holds a lock on a
file in its folder: the kernel lets go of it when the process dies, whoever started it, whatever the clock says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from dqviz.runs import locks, memory
from dqviz.runs.engines.base import Ended
from dqviz.runs.job import LOCK_FD, MEMORY_BYTES
from dqviz.runs.rows import Claim


class Local:
    """`memory_bytes` limits the data of each job (None: no limit)."""

    def __init__(self, memory_bytes: int | None = None) -> None:
        self.wake = threading.Event()
        self._memory_bytes = memory_bytes
        self._pids: dict[tuple[str, int], int] = {}
        self._gone: deque[Claim] = deque()

    def start(self, claim: Claim, command: Sequence[str], environment: dict[str, str]) -> None:
        claim.folder.mkdir(parents=True, exist_ok=True)
        descriptor = locks.try_lock(claim.lock)
        if descriptor is None:
            raise BlockingIOError(f"attempt {claim.attempt} of run {claim.run_id} is running already")
        try:
            limits = {MEMORY_BYTES: str(self._memory_bytes)} if self._memory_bytes else {}
            pid = self._spawn(claim, command, {**environment, **limits, LOCK_FD: str(descriptor)}, descriptor)
            locks.write_note(descriptor, {"pid": pid, "oom_kills": memory.oom_kills()})
        finally:
            os.close(descriptor)  # the child's copy keeps the lock
        self._pids[claim.key] = pid
        self._watch(claim)

    def adopt(self, claim: Claim) -> bool:
        if not locks.held(claim.lock):
            return False
        self._watch(claim)
        return True

    def ended(self) -> list[Ended]:
        self.wake.clear()
        gone = []
        while self._gone:
            gone.append(self._reap(self._gone.popleft()))
        return gone

    def send(self, claim: Claim, number: signal.Signals) -> None:
        pid = locks.read_note(claim.lock).get("pid")
        if isinstance(pid, int) and locks.held(claim.lock):  # while the lock is held the number is still theirs
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def _spawn(self, claim: Claim, command: Sequence[str], environment: dict[str, str], descriptor: int) -> int:
        with claim.log.open("ab") as log:
            child = subprocess.Popen(
                [*command, claim.run_id, str(claim.attempt)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=environment, pass_fds=(descriptor,), start_new_session=True,
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
        pid = self._pids.pop(claim.key, None)
        if pid is None:
            return Ended(claim, None, None, counted)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # whatever it had started; its number is ours until we wait
        try:
            _, status, usage = os.wait4(pid, 0)
        except ChildProcessError:  # somebody else has waited for it
            return Ended(claim, None, None, counted)
        code = os.waitstatus_to_exitcode(status)
        killed = counted and code == -signal.SIGKILL
        return Ended(claim, code, memory.rusage_peak_bytes(usage, memory.peak_bytes()), killed)
