"""The ledger: queue of the runs and the only truth about them. SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqviz.errors import BadInput
from dqviz.runs import asking, database, holding, submitting
from dqviz.runs.database import reading, writing
from dqviz.runs.home import database_url, home, runs_dir
from dqviz.runs.rows import Claim, RunRow, StudyRow, run_row
from dqviz.runs.schema import METRICS
from dqviz.spec import MeasureSpec, Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Claim", "Ledger", "RunRow", "StudyRow"]

KINDS = ("train", "measure")
_LOG_TAIL_BYTES = 65_536


class Ledger:
    """Opens (and migrates) the database at `url`. Every method is one transaction and is safe from any thread.

    Raises Unavailable when the database stays locked beyond `busy_timeout_s` or cannot be opened.
    """

    def __init__(
        self, url: str | None = None, *, folder: Path | None = None, busy_timeout_s: float = database.BUSY_TIMEOUT_S
    ) -> None:
        self.url = url or database_url()
        self.folder = folder or runs_dir()
        self._engine = database.connect(self.url, busy_timeout_s)
        database.migrate(self._engine)

    @cached_property
    def host(self) -> str:
        """Which machine and folder of runs: locks in it tell who lives, for runs of this host only."""
        return f"{socket.gethostname()}:{home()}"

    def close(self) -> None:
        self._engine.dispose()

    # what a person asks for

    def submit(self, study: Study) -> str:
        """The study's id, the same for the same content. Runs that ended without success are queued again."""
        with writing(self._engine) as connection:
            return submitting.submit(connection, study)

    def submit_measure(self, spec: MeasureSpec) -> str:
        """The run_id of the measurement. Raises BadInput unless its target is finished."""
        with writing(self._engine) as connection:
            return submitting.submit_measure(connection, spec)

    def cancel(self, run_id: str) -> bool:
        """False when the run has ended already. Raises BadInput for an unknown run."""
        with writing(self._engine) as connection:
            return submitting.cancel(connection, run_id)

    def cancel_study(self, study_id: str) -> int:
        """Number of runs cancelled; runs that another study wants go on."""
        with writing(self._engine) as connection:
            return submitting.cancel_study(connection, study_id)

    def retry(self, run_id: str) -> None:
        """Queues a new attempt. Raises BadInput unless the run failed, was cancelled or interrupted."""
        with writing(self._engine) as connection:
            submitting.retry(connection, run_id)

    # what pages and commands read

    def studies(self) -> list[StudyRow]:
        """Newest first."""
        with reading(self._engine) as connection:
            return asking.study_rows(connection)

    def study(self, study_id: str) -> StudyRow:
        """Raises BadInput, listing the newest studies, for an unknown id."""
        with reading(self._engine) as connection:
            found = asking.study_rows(connection, study_id)
            if not found:
                raise submitting.unknown_study(connection, study_id)
            return found[0]

    def runs(self, study_id: str | None = None, states: Sequence[str] | None = None) -> list[RunRow]:
        with reading(self._engine) as connection:
            return self._rows(asking.run_rows(connection, study_id=study_id, states=states))

    def run(self, run_id: str) -> RunRow:
        with reading(self._engine) as connection:
            row = asking.one(connection, run_id)
        if row is None:
            raise BadInput(f"There is no run {run_id!r}.")
        return run_row(row, self.folder)

    def active(self) -> list[RunRow]:
        """Queued, running, or waiting for their automatic retry; cheap enough to poll."""
        with reading(self._engine) as connection:
            return self._rows(asking.active(connection))

    def measures(self, target: str | None = None) -> list[RunRow]:
        """Finished measurements, newest first."""
        with reading(self._engine) as connection:
            rows = self._rows(asking.measures(connection))
        return [row for row in rows if isinstance(row.spec, MeasureSpec) and target in (None, row.spec.target)]

    def metrics(self, run_id: str) -> pd.DataFrame:
        """Epochs so far, columns of TABLES["metrics"]."""
        import pandas as pd

        with reading(self._engine) as connection:
            rows = asking.epoch_rows(connection, run_id)
        return pd.DataFrame(rows, columns=list(METRICS)).astype({name: float for name in METRICS if name != "epoch"})

    def attempts(self, run_id: str) -> list[dict[str, Any]]:
        """Each attempt with its state, error and peak memory, oldest first."""
        with reading(self._engine) as connection:
            return asking.attempt_rows(connection, run_id)

    def log_tail(self, run_id: str, lines: int = 50) -> list[str]:
        """Last lines of the log of the newest attempt that has one."""
        row = self.run(run_id)
        for attempt in range(row.attempt, 0, -1):
            path = self.folder / row.run_id / str(attempt) / "log.txt"
            if path.is_file():
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
                    return file.read().decode("utf-8", "replace").splitlines()[-lines:]
        return []

    # what workers and jobs write

    def claim(self, worker: str, kinds: Sequence[str] = KINDS, *, free: int | None = None) -> Claim | None:
        """The next run for this worker, or None. `free`: threads left on this host (default: the number of cores)."""
        threads = free if free is not None else os.cpu_count() or 1
        with writing(self._engine) as connection:
            return holding.claim(
                connection, worker=worker, host=self.host, kinds=kinds, free=threads, folder=self.folder
            )

    def held(self, run_id: str, attempt: int) -> Claim | None:
        """The claim of a running attempt; None when this attempt does not hold the run."""
        found = [claim for claim in self.running() if claim.key == (run_id, attempt)]
        return found[0] if found else None

    def running(self) -> list[Claim]:
        with reading(self._engine) as connection:
            return [holding.as_claim(row, self.folder) for row in asking.running(connection)]

    def has_queued(self, kinds: Sequence[str] = KINDS) -> bool:
        with reading(self._engine) as connection:
            return asking.has_queued(connection, kinds)

    def pending_retries(self) -> list[tuple[str, int]]:
        """(run_id, attempt) of interrupted runs that may be retried automatically."""
        with reading(self._engine) as connection:
            return asking.pending_retries(connection)

    def beat(self, claim: Claim, epochs: Sequence[dict[str, Any]] = ()) -> bool:
        """Heartbeat and metrics in one write. True when the run shall stop. Raises Stale."""
        with writing(self._engine) as connection:
            return holding.beat(connection, claim, epochs)

    def cancel_asked(self, claim: Claim) -> bool:
        """A look without a write: was this attempt asked to stop? Raises Stale."""
        with reading(self._engine) as connection:
            return holding.cancel_asked(connection, claim)

    def finish(self, claim: Claim, summary: dict[str, Any], peak_bytes: int | None = None) -> None:
        """Call only after the artifacts are published and verified. Raises Stale."""
        with writing(self._engine) as connection:
            holding.end(connection, claim, "finished", summary=summary, peak_bytes=peak_bytes)

    def fail(self, claim: Claim, message: str, peak_bytes: int | None = None) -> None:
        with writing(self._engine) as connection:
            holding.end(connection, claim, "failed", error=message, peak_bytes=peak_bytes)

    def cancelled(self, claim: Claim, peak_bytes: int | None = None) -> str:
        """The run has stopped because it was asked to; the new state: cancelled, or interrupted when it is wanted
        again meanwhile."""
        with writing(self._engine) as connection:
            return holding.end(connection, claim, "cancelled", peak_bytes=peak_bytes)

    def interrupt(self, claim: Claim, message: str, peak_bytes: int | None = None) -> str:
        """The process is gone; the new state: interrupted, or cancelled when a cancel had been asked for."""
        with writing(self._engine) as connection:
            return holding.end(connection, claim, "interrupted", error=message, peak_bytes=peak_bytes)

    def requeue(self, run_id: str, attempt: int) -> bool:
        with writing(self._engine) as connection:
            return holding.requeue(connection, run_id, attempt)

    def _rows(self, rows: Sequence[Any]) -> list[RunRow]:
        return [run_row(row, self.folder) for row in rows]
