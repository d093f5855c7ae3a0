"""Running jobs in the sidebar: progress, elapsed and remaining time, cancel. Polls only while something is active."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import streamlit as st

from dqviz.errors import DqvizError
from dqviz.runs.ledger import RunRow
from dqviz.ui.estimate import duration
from dqviz.ui.names import run_name
from dqviz.ui.store import ledger

EVERY = "3s"
SHOWN = 4  # more running jobs than this are counted, not drawn


def show_jobs() -> None:
    """The running jobs, in the sidebar of every page."""
    rows = active()
    st.session_state["jobs-seen"] = _states(rows)
    with st.sidebar:
        st.fragment(_jobs, run_every=EVERY if rows else None)()


def active() -> list[RunRow]:
    """Queued and running jobs, running first."""
    return sorted(ledger().active(), key=lambda row: row.state != "running")


def _jobs() -> None:
    rows = active()
    running = [row for row in rows if row.state == "running"]
    if _states(rows) != st.session_state.get("jobs-seen"):
        st.rerun()  # a job came, started or ended: the whole page is out of date
    if not rows:
        return
    st.caption(f"**{len(running)} running, {len(rows) - len(running)} queued**")
    for row in running[:SHOWN]:
        show_job(row)
    if not running:
        st.caption("Waiting for a worker. `make app` starts one; so does `python -m dqviz worker`.")


def show_job(row: RunRow) -> None:
    """One running job: bar, times, cancel."""
    with st.container(gap="xxsmall"):
        st.progress(row.progress, text=f"{run_name(row)}  \n:gray[{clock(row)}]")
        st.button("Cancel", key=f"cancel-{row.run_id}", icon=":material/close:", type="tertiary",
                  on_click=act, args=(ledger().cancel, row.run_id))  # fmt: skip


def act(do: Callable[..., object], *args: object) -> None:
    """Runs `do(*args)` for a button; a refusal is one sentence, never a traceback."""
    try:
        do(*args)
    except DqvizError as error:
        st.toast(str(error), icon=":material/error:")


def clock(row: RunRow) -> str:
    """'12 s, about 40 s left': elapsed time, and the rest at the speed so far."""
    elapsed = elapsed_s(row)
    if not row.epochs:
        return f"{duration(elapsed)} so far"
    if not row.epoch:
        return f"starting, {duration(elapsed)}"
    left = elapsed * (row.epochs - row.epoch) / row.epoch
    ending = "evaluating" if row.epoch >= row.epochs else f"about {duration(left)} left"
    return f"epoch {row.epoch} of {row.epochs}, {duration(elapsed)}, {ending}"


def elapsed_s(row: RunRow) -> float:
    """Seconds since the start; 0 before it (wall clock: for display only)."""
    if row.started_at is None:
        return 0.0
    return max(time.time() - row.started_at, 0.0)


def _states(rows: Sequence[RunRow]) -> list[tuple[str, str]]:
    return sorted((row.run_id, row.state) for row in rows)
