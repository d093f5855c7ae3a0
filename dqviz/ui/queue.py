"""A study while it trains: its runs with progress, and what can be done with each (cancel, retry, read the log)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dqviz.runs.ledger import RunRow
from dqviz.runs.rows import UNSUCCESSFUL
from dqviz.ui import pick
from dqviz.ui.estimate import duration
from dqviz.ui.jobs import EVERY, act, clock
from dqviz.ui.names import run_name, unique
from dqviz.ui.page import Nothing, onward
from dqviz.ui.select import labelled
from dqviz.ui.store import ledger, studies

ORDER = ("running", "failed", "interrupted", "queued", "finished", "cancelled")
COLUMNS: dict[str, Any] = {
    "Run": st.column_config.Column(width="medium"),
    "State": st.column_config.Column(width="small"),
    "Progress": st.column_config.ProgressColumn(min_value=0, max_value=100, format="%.0f %%", width="small"),
    "Time": st.column_config.Column(width="medium"),
    "Validation accuracy": st.column_config.NumberColumn(format="percent", width="small"),
}
ANALYSES = ("error_by_degree", "ranges", "protection", "latency", "compare", "report")


def choose_own_study() -> str:
    """Id of a study of the ledger (the demo has nothing to watch)."""
    rows = {label: row.study_id for label, row in labelled(studies()).items() if not row.demo}
    if not rows:
        raise Nothing("No study has been started on this computer yet: describe one under “New study”.", url="")
    return str(pick.pick("Study", "study", rows))


def refreshed(body: Callable[[], None], rows: Sequence[RunRow]) -> None:
    """Runs `body` as a fragment that runs again every few seconds while something in `rows` can still change."""
    st.fragment(body, run_every=EVERY if moving(rows) else None)()


def moving(rows: Sequence[RunRow]) -> bool:
    return any(not row.settled for row in rows)


def show_queue(rows: Sequence[RunRow]) -> None:
    """One bar for the whole study, then one line a run, those that move first."""
    states = Counter(row.state for row in rows)
    done = sum(1.0 if row.settled else row.progress for row in rows)
    counts = ", ".join(f"{states[state]} {state}" for state in ORDER if states[state])
    st.progress(min(done / max(len(rows), 1), 1.0), text=f"{len(rows)} runs: {counts}")
    ordered = sorted(rows, key=lambda row: ORDER.index(row.state))
    st.dataframe(
        [_line(row) for row in ordered], hide_index=True, height=min(38 + 35 * len(ordered), 320), key="queue",
        placeholder="", column_config=COLUMNS, column_order=[*COLUMNS, *["Message"] * any(r.error for r in rows)],
    )  # fmt: skip


def _line(row: RunRow) -> dict[str, object]:
    return {
        "Run": run_name(row),
        "State": row.state,
        "Progress": 100 * row.progress,
        "Time": clock(row) if row.state == "running" else duration(row.wall_s) if row.wall_s else "",
        "Validation accuracy": row.val_accuracy,
        "Message": row.error or "",
    }


def choose_job(rows: Sequence[RunRow]) -> RunRow:
    """The run whose curve, log and buttons are shown; the one that moves by default."""
    ordered = sorted(rows, key=lambda row: ORDER.index(row.state))
    labels = unique([run_name(row) for row in ordered], [row.run_id for row in ordered])
    return pick.pick("Run", "run", dict(zip(labels, ordered, strict=True)))


def show_buttons(study_id: str, rows: Sequence[RunRow], job: RunRow) -> None:
    """Cancel one or all; retry what failed."""
    with st.container(horizontal=True):
        st.button("Cancel this run", icon=":material/close:", disabled=job.settled,
                  on_click=act, args=(ledger().cancel, job.run_id))  # fmt: skip
        st.button("Cancel all", icon=":material/cancel:", disabled=not moving(rows),
                  on_click=act, args=(ledger().cancel_study, study_id))  # fmt: skip
        st.button("Retry this run", icon=":material/replay:", disabled=job.state not in UNSUCCESSFUL,
                  on_click=act, args=(ledger().retry, job.run_id))  # fmt: skip
        again = [row.run_id for row in rows if row.state in UNSUCCESSFUL]
        st.button(f"Retry all that did not finish ({len(again)})", icon=":material/restart_alt:", disabled=not again,
                  on_click=act, args=(_retry, again))  # fmt: skip


def _retry(run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        ledger().retry(run_id)


def show_log(job: RunRow, lines: int = 30) -> None:
    """The end of the run's log, and its message when it failed."""
    if job.error:
        st.error(job.error, icon=":material/error:")
    text = "\n".join(ledger().log_tail(job.run_id, lines))
    st.code(text or "No lines in the log.", language=None, height=240)


def show_links() -> None:
    """From the chosen study to each analysis of it, once a run has finished."""
    with st.container(horizontal=True):
        for url in ANALYSES:
            onward(url)
