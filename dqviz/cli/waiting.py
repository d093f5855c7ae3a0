"""Waiting for runs with a progress bar on stderr; works itself while no worker is alive."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dqviz.runs import worker
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import RunRow


def wait(study_id: str, ledger: Ledger) -> list[RunRow]:
    """The runs of a study once nothing more will happen to them."""
    return wait_for([row.run_id for row in ledger.runs(study_id)], ledger)


def wait_for(run_ids: Sequence[str], ledger: Ledger) -> list[RunRow]:
    """As `wait`, for any runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("waiting", total=None)

        def show(now: Sequence[RunRow]) -> None:
            done = sum(row.settled for row in now)
            bar.update(task, total=len(now), completed=done, description=doing(now))

        return worker.wait_for(run_ids, ledger, show)


def doing(rows: Sequence[RunRow]) -> str:
    """'2 running, 3 queued' or how the settled ones ended."""
    states = [row.state for row in rows]
    order = ("running", "queued", "failed", "interrupted", "cancelled", "finished")
    return ", ".join(f"{states.count(state)} {state}" for state in order if state in states)
