"""What the program of a job sees: its spec, its folder, a place for its results, and one way to end.

    with Job.open(run_id, attempt) as job:
        for epoch in ...:
            job.emit({"epoch": epoch, ...})
            if job.should_stop():
                raise Cancelled("...")
        job.staging.write_table("metrics", frame)
        job.finish({"test_accuracy": 0.81})

Whatever the body raises ends up as the run's state with one clear sentence, and as a traceback in the log.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

from dqviz.errors import Cancelled, DqvizError, Stale, Unavailable
from dqviz.runs import artifacts, locks, memory
from dqviz.runs.artifacts import Staging
from dqviz.runs.ledger import Ledger
from dqviz.runs.pulse import Pulse
from dqviz.runs.rows import Claim, Spec
from dqviz.runs.schema import METRICS
from dqviz.runs.steps import step

T = TypeVar("T")

LOCK_FD = "DQVIZ_LOCK_FD"
MEMORY_BYTES = "DQVIZ_MEMORY_BYTES"
LAST_WORDS_S = 300.0
"""How long the end of a run is offered to a ledger that is locked."""


class Terminated(BaseException):
    """SIGTERM: by a cancel, or by the machine going down."""


class Job:
    """One attempt at a run, held by this process. `state` tells how it ended (running until then)."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self.claim = claim
        self.state = "running"
        self._ledger = ledger
        self._pulse = Pulse(ledger, claim)
        self._staging: Staging | None = None
        self._started = time.monotonic()

    @classmethod
    def open(cls, run_id: str, attempt: int, ledger: Ledger | None = None) -> Job:
        """Raises Stale when this attempt does not hold the run (it was cancelled, or another one took over)."""
        ledger = ledger or Ledger()
        claim = ledger.held(run_id, attempt)
        if claim is None:
            raise Stale(f"Attempt {attempt} of run {run_id} does not hold the run; nothing is started.")
        return cls(ledger, claim)

    @property
    def spec(self) -> Spec:
        return self.claim.spec

    @property
    def folder(self) -> Path:
        """This attempt's own folder: log, checkpoint, scratch files. Results go to `staging`."""
        return self.claim.folder

    @property
    def runs_dir(self) -> Path:
        """The folder of all runs (a measurement finds its target by `target`)."""
        return self.claim.home.parent

    @cached_property
    def checkpoint_path(self) -> Path:
        """This attempt's checkpoint; there from the start when an interrupted attempt left one. Write it with
        `save_checkpoint`, which replaces it at once."""
        return self.folder / "checkpoint"

    @property
    def staging(self) -> Staging:
        """Where results are written; they appear all at once in `finish`."""
        if self._staging is None:
            self._staging = Staging(self.claim.artifacts)
            self._staging.write_json("spec", self.spec.model_dump(mode="json"))
        return self._staging

    def target(self) -> Path:
        """Artifacts of the run that a measurement is about. Raises BadInput or Unavailable when they are not there."""
        return self.artifacts_of(getattr(self.spec, "target", ""))

    def artifacts_of(self, run_id: str) -> Path:
        """Artifacts of another finished run. Raises BadInput or Unavailable when they are not there."""
        return self._ledger.run(run_id).folder

    def emit(self, epoch: dict[str, Any]) -> None:
        """One epoch, keys from TABLES["metrics"]; written to the ledger within a second, with the heartbeat."""
        unknown = set(epoch) - set(METRICS)
        if unknown or "epoch" not in epoch:
            raise ValueError(f"an epoch row has the keys {METRICS}, got {sorted(epoch)}")
        self._pulse.put(dict(epoch))

    def should_stop(self) -> bool:
        """True once a cancel was asked for. Costs nothing; ask every epoch. Raises Stale after a takeover."""
        if self._pulse.stale is not None:
            raise self._pulse.stale
        return self._pulse.stop_asked

    def save_checkpoint(self, write: Callable[[Path], None]) -> None:
        """`write` gets a temporary path; the old checkpoint stays whole until the new one is."""
        temporary = self.folder / ".checkpoint.new"
        write(temporary)
        artifacts.replace(temporary, self.checkpoint_path)

    def finish(self, summary: dict[str, Any]) -> None:
        """Publishes the artifacts, verifies them on disk, and only then is the run `finished`.

        `wall_s` of this attempt is added unless given. Raises OSError when the disk refuses, Stale after a takeover.
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        summary = {"wall_s": time.monotonic() - self._started, **summary}
        self._pulse.close()
        self._patiently(self._pulse.flush)
        self.staging.write_json("summary", summary)
        self.staging.publish()
        with step("verify"):
            problems = artifacts.verify(self.claim.artifacts)
        if problems:
            raise OSError(f"the artifacts are damaged on disk: {'; '.join(problems)}")
        with step("commit"):
            self._patiently(lambda: self._ledger.finish(self.claim, summary, memory.peak_bytes()))
        self.state = "finished"
        self.checkpoint_path.unlink(missing_ok=True)
        if self.claim.kind == "measure":
            os.utime(self.target())  # readers that cache by the folder's time look again

    def __enter__(self) -> Job:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hold_lock()
        self._inherit_checkpoint()
        if os.environ.get(MEMORY_BYTES):
            memory.limit(int(os.environ[MEMORY_BYTES]))
        self._old_handler = signal.signal(signal.SIGTERM, _terminated)
        self._pulse.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        memory.unlimit()
        self._pulse.close()
        if error is None and self.state == "running":
            error = DqvizError("The job ended without a result.")
        if error is not None:
            self._end_badly(error)
        if self._staging is not None:
            self._staging.discard()
        signal.signal(signal.SIGTERM, self._old_handler)
        return True

    def _end_badly(self, error: BaseException) -> None:
        """State and sentence for an exception; the traceback goes to the log. A stale attempt writes nothing."""
        self._log("".join(traceback.format_exception(error)))
        try:
            if isinstance(error, Unavailable) and self.claim.artifacts.exists():
                raise error
            if not isinstance(error, Stale):
                self._patiently(self._pulse.flush)
            self.state = self._patiently(lambda: self._record(error))
        except Stale as stale:
            self.state = "stale"
            self._log(f"{stale}\n")
        except Unavailable as unavailable:  # the worker will find the dead process and what it has published
            self.state = "unrecorded"
            self._log(f"{unavailable}\n")

    def _record(self, error: BaseException) -> str:
        peak = memory.peak_bytes()
        if isinstance(error, Stale):
            raise error
        if isinstance(error, Terminated | KeyboardInterrupt):
            return self._ledger.interrupt(self.claim, "The job was told to stop by the system.", peak)
        if isinstance(error, Cancelled):
            return self._ledger.cancelled(self.claim, peak)
        self._ledger.fail(self.claim, sentence(error, peak), peak)
        return "failed"

    def _patiently(self, write: Callable[[], T]) -> T:
        """A result is not lost because somebody locks the ledger for a while."""
        deadline = time.monotonic() + LAST_WORDS_S
        while True:
            try:
                return write()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _hold_lock(self) -> None:
        """The worker hands over a descriptor that is locked already; a job started by hand takes the lock itself."""
        inherited = os.environ.pop(LOCK_FD, None)
        descriptor = int(inherited) if inherited else locks.try_lock(self.claim.lock)
        if descriptor is None:
            raise Stale(f"Attempt {self.claim.attempt} of run {self.claim.run_id} is run by another process.")
        os.set_inheritable(descriptor, False)
        note = locks.read_note(self.claim.lock)
        locks.write_note(descriptor, {"oom_kills": memory.oom_kills(), **note, "pid": os.getpid()})
        self._lock = descriptor

    def _inherit_checkpoint(self) -> None:
        """Copies what the attempt before has left, unless that one failed: then a fresh start is wanted."""
        if self.claim.attempt == 1 or self.checkpoint_path.exists():
            return
        before = [row for row in self._ledger.attempts(self.claim.run_id) if row["attempt"] < self.claim.attempt]
        if not before or before[-1]["state"] not in ("interrupted", "cancelled"):
            return
        left = self.claim.home / str(before[-1]["attempt"]) / "checkpoint"
        if left.is_file():
            artifacts.write_atomically(self.checkpoint_path, left.read_bytes())

    def _log(self, text: str) -> None:
        with suppress(OSError), self.claim.log.open("a", encoding="utf-8") as log:  # the disk may be what failed
            log.write(text)


def sentence(error: BaseException, peak_bytes: int) -> str:
    """An exception as the one sentence that people read on the page."""
    if memory.is_out_of_memory(error):
        return f"out of memory: the job's peak was {memory.in_words(peak_bytes)}"
    if isinstance(error, DqvizError):
        return str(error)
    if isinstance(error, SystemExit):
        return "The job ended without a result."
    if isinstance(error, OSError) and error.strerror:
        where = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
        return f"{error.strerror}{where}"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
