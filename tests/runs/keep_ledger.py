"""Makes a small ledger of the schema as it is, to be kept for `test_an_older_ledger_opens_with_all_its_rows`:
`python tests/runs/keep_ledger.py`, once, before a release that has changed the schema."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from runs_tools import HERE, claimed, study

from dqviz.runs.ledger import Ledger
from dqviz.runs.schema import HEAD


def main() -> None:
    target = HERE / "ledgers" / f"{HEAD}.sqlite"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DQVIZ_HOME"] = folder
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.__dict__["host"] = "example:/home/someone/dqviz"
        fill(ledger)
        ledger.close()
        target.write_bytes(Path(folder, "ledger.db").read_bytes())


def fill(ledger: Ledger) -> None:
    """One run in each state, with epochs, a retry and a study that shares a run."""
    finished, failed, cancelled, interrupted = (claimed(ledger, seed) for seed in range(4))
    ledger.beat(finished, [{"epoch": epoch, "loss_train": 1 / (epoch + 1), "epoch_ms": 4.5} for epoch in range(3)])
    ledger.finish(finished, {"test_accuracy": 0.81, "wall_s": 1.5}, peak_bytes=2**28)
    ledger.fail(failed, "diverged at epoch 3")
    ledger.cancelled(cancelled)
    ledger.interrupt(interrupted, "The job's process was killed by SIGKILL.")
    ledger.requeue(*interrupted.key)
    ledger.claim("kept", free=99)
    ledger.submit(study(6, "all of them"))
    ledger.cancel_study(ledger.submit(study(1, "cancelled", first=9)))


if __name__ == "__main__":
    main()
