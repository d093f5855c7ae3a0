"""Tools for the tests of runs: specs without torch, real workers and jobs, waiting, killing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dqviz.runs import artifacts, locks
from dqviz.runs.ledger import Claim, Ledger
from dqviz.runs.worker import Worker
from dqviz.spec import RunSpec, Study

HERE = Path(__file__).parent
FAKE = (sys.executable, str(HERE / "fake_job.py"))
FORGED = (sys.executable, "-m", "forged_job")
LIMIT_S = 240.0  # generous: it only ends a test that hangs


def spec(seed: int = 0, *, epochs: int = 3, **values: Any) -> RunSpec:
    return RunSpec(dataset="karate", arch="gcn", method="qat", seed=seed, epochs=epochs, **values)


def study(number: int, name: str = "a study", *, first: int = 0, **values: Any) -> Study:
    return Study(name=name, runs=tuple(spec(seed, **values) for seed in range(first, first + number)))


def claimed(ledger: Ledger, seed: int = 0, **values: Any) -> Claim:
    """A run that this test holds itself."""
    ledger.submit(study(1, f"study of {seed}", first=seed, **values))
    claim = ledger.claim("test", free=99)
    assert claim is not None
    return claim


def wait_until(condition: Callable[[], bool], step: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        step()
        time.sleep(0.02)


def work(ledger: Ledger, **options: Any) -> None:
    """A worker in this process until every run is settled."""
    worker = Worker(ledger, options.pop("engine", "local"), FAKE, **{"retry_pause_s": 0.0, "slots": 4} | options)
    wait_until(lambda: all(row.settled for row in ledger.runs()), worker.step)


def pid_of(ledger: Ledger, run_id: str) -> int | None:
    """Process of the running attempt of a run, from its lock."""
    path = ledger.folder / run_id / str(ledger.run(run_id).attempt) / "lock"
    return locks.read_note(path).get("pid") if locks.held(path) else None


def signal_job(ledger: Ledger, run_id: str, number: signal.Signals) -> int:
    pid = pid_of(ledger, run_id)
    assert pid is not None, "the job does not run"
    os.kill(pid, number)
    return pid


def pids(ledger: Ledger) -> dict[str, int | None]:
    return {row.run_id: pid_of(ledger, row.run_id) for row in ledger.runs(states=["running"])}


def forge_of(worker: Worker) -> int:
    """Process of the newest forge of a worker."""
    return forges_of(worker)[-1]


def forges_of(worker: Worker) -> list[int]:
    """Processes of all forges that a worker keeps, oldest first."""
    kept: dict[object, Any] = worker.engine._forges._kept  # type: ignore[attr-defined]
    return [forge._process.pid for forge in kept.values()]


def start_worker(home: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A worker as a program of its own, with the fake job."""
    known = {"DQVIZ_HOME": str(home), "PYTHONPATH": os.pathsep.join((str(HERE.parents[1]), str(HERE)))}
    return subprocess.Popen(
        [sys.executable, str(HERE / "run_worker.py")], env={**os.environ, **known, **environment},
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def kill(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    os.killpg(process.pid, number)
    process.wait()


@dataclass
class Storm:
    """Runs jobs and kills them at random; watches that whatever is finished is complete and stays finished.

    One process in five is killed at any moment of its life, the others while they train or save.
    """

    ledger: Ledger
    seed: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    finished: set[str] = field(default_factory=set)
    half_written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.due: dict[tuple[str, int], float] = {}
        self.seen: dict[tuple[str, int], Claim] = {}
        self.early: dict[tuple[str, int], bool] = {}

    def run(self, kills: int, worker: Worker, batch: int = 50) -> None:
        submitted = 0
        while self.kills.total() < kills:
            self.ledger.submit(study(batch, f"batch {submitted}", first=submitted))
            submitted += batch
            wait_until(lambda: all(row.settled for row in self.ledger.runs()), lambda: self.step(worker, kills))

    def step(self, worker: Worker, kills: int) -> None:
        worker.step()
        self.seen.update({claim.key: claim for claim in self.ledger.running()})
        for claim in list(self.seen.values()):  # also those whose row is written but whose process still lives
            if not locks.held(claim.lock):
                del self.seen[claim.key]
            elif self.kills.total() < kills:
                self.shoot(claim)
        self.look()

    def shoot(self, claim: Claim) -> None:
        """Each process gets one moment at which it will be killed, if it still lives then."""
        early = self.early.setdefault(claim.key, self.random.random() < 0.2)
        if early or (claim.folder / "checkpoint").exists():
            due = self.due.setdefault(claim.key, time.monotonic() + self.random.uniform(0, 0.8 if early else 0.3))
            pid = locks.read_note(claim.lock).get("pid")
            if pid is not None and time.monotonic() >= due:
                phase = self.phase(claim)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills[phase] += 1
                self.due[claim.key] = float("inf")

    def phase(self, claim: Claim) -> str:
        if claim.artifacts.exists():
            return "published"
        if list(claim.folder.glob(".*staging*")):
            return "saving"
        return "training" if (claim.folder / "checkpoint").exists() else "starting"

    def look(self) -> None:
        for row in self.ledger.runs(states=["finished"]):
            if row.run_id not in self.finished:
                self.finished.add(row.run_id)
                if artifacts.verify(row.folder):
                    self.half_written.add(row.run_id)

    def lost(self) -> set[str]:
        """Runs that were finished once and are not, or no longer complete."""
        now = {row.run_id for row in self.ledger.runs(states=["finished"]) if not artifacts.verify(row.folder)}
        return self.finished - now
