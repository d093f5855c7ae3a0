"""A job without torch: `python fake_job.py RUN_ID ATTEMPT`. Environment variables say how it shall misbehave."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from pathlib import Path

from dqviz.errors import BadInput, Cancelled, Diverged
from dqviz.runs import steps
from dqviz.runs.job import Job

EPOCH_S = float(os.environ.get("FAKE_EPOCH_S", "0.005"))
STEP_S = float(os.environ.get("FAKE_STEP_S", "0"))
GATE = os.environ.get("FAKE_GATE", "")
BEHAVIOUR = os.environ.get("FAKE_BEHAVIOUR", "")


def main(run_id: str, attempt: int) -> int:
    note_start(run_id, attempt)
    disturb_clock()
    with Job.open(run_id, attempt) as job:
        steps.install(Failpoint(job))
        start = resume(job)
        misbehave()
        for epoch in range(start, job.spec.epochs):
            one_epoch(job, epoch)
        save(job, start)
    return 0 if job.state == "finished" else 1


def note_start(run_id: str, attempt: int) -> None:
    if os.environ.get("FAKE_STARTS"):
        with Path(os.environ["FAKE_STARTS"]).open("a") as file:
            file.write(f"{run_id} {attempt} {os.getpid()}\n")


def disturb_clock() -> None:
    """A wall clock that jumps to and fro."""
    if os.environ.get("FAKE_CLOCK_S"):
        jump_s, real, turn = float(os.environ["FAKE_CLOCK_S"]), time.time, itertools.cycle((1, -1))
        time.time = lambda: real() + next(turn) * jump_s


def resume(job: Job) -> int:
    path = job.checkpoint_path
    return int(path.read_text()) + 1 if path.exists() else 0


def one_epoch(job: Job, epoch: int) -> None:
    time.sleep(EPOCH_S)
    while epoch and GATE and not Path(GATE).exists():  # after its first epoch it waits for the test
        time.sleep(0.02)
        if BEHAVIOUR != "deaf" and job.should_stop():
            raise Cancelled("stopped at the gate")
    job.emit({"epoch": epoch, "loss_train": 1 / (epoch + 1), "accuracy_val": 0.5, "epoch_ms": 1000 * EPOCH_S})
    job.save_checkpoint(lambda path: path.write_text(str(epoch)))
    if BEHAVIOUR != "deaf" and job.should_stop():
        raise Cancelled("stopped between two epochs")


def save(job: Job, start: int) -> None:
    summary = {"test_accuracy": 0.75, "resumed_at": start, "pid": os.getpid(), "attempt": job.claim.attempt}
    if BEHAVIOUR == "row first":  # the negative control: what must not be done
        job._pulse.close()
        job._ledger.finish(job.claim, summary)
        job.staging.write_json("summary", summary)
        job.staging.publish()
        job.state = "finished"
        return
    job.staging.path("model.bin").write_bytes(os.urandom(200_000))
    job.staging.write_json("provenance", {"python": sys.version})
    job.finish(summary)


def misbehave() -> None:
    if BEHAVIOUR == "eat memory":
        hoard = []
        while True:
            hoard.append(bytearray(8 << 20))
    if BEHAVIOUR == "diverge":
        raise Diverged("diverged at epoch 3")
    if BEHAVIOUR == "bad input":
        raise BadInput("Unknown data set 'x'; choose one of: y.")
    if BEHAVIOUR == "crash":
        os._exit(3)
    if BEHAVIOUR == "raise":
        raise ZeroDivisionError("division by zero")
    if BEHAVIOUR == "no result":
        sys.exit(0)


class Failpoint:
    """FAKE_KILL_AT "seed": the first attempt of a run with seed k is killed at the k-th point of saving."""

    def __init__(self, job: Job) -> None:
        wanted = os.environ.get("FAKE_KILL_AT") == "seed" and job.claim.attempt == 1
        self.point = steps.STEPS[job.spec.seed] if wanted else ""

    def __call__(self, point: str) -> None:
        time.sleep(STEP_S)
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
