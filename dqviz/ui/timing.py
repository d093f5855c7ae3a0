"""Timings of runs: reading them, and asking for one (an exclusive job that waits until nothing trains)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dqviz.columns import TABLES
from dqviz.errors import BadInput
from dqviz.registry import one_sentence
from dqviz.runs import costs
from dqviz.runs.costs import family
from dqviz.runs.ledger import RunRow
from dqviz.spec import MeasureSpec
from dqviz.ui.jobs import act, active
from dqviz.ui.page import Nothing
from dqviz.ui.store import have, ledger, read_table, store, tables
from dqviz.ui.timed import show_exactness

BUSY_SHARE = 0.5  # load average a core above which a timing is not worth much
NO_TIMINGS = pd.DataFrame(columns=[str(column) for column in TABLES["latency"]])


def timings(rows: Sequence[RunRow], run: RunRow) -> pd.DataFrame:
    """The one measurement that `run` was part of (all bit widths were timed in the same rounds), or an empty table.

    Tables of several measurements are never put together: a ratio holds only between times of the same rounds.
    """
    timed = timed_together(rows, run)
    return read_table(timed, "latency") if timed else NO_TIMINGS


def timed_together(rows: Sequence[RunRow], run: RunRow) -> RunRow | None:
    """The run whose measurement `run` was part of: itself, or one of another width."""
    return next(iter(have(other_widths(rows, run), "latency")), None)


def about_timing(rows: Sequence[RunRow], run: RunRow) -> dict[str, Any]:
    """What the measurement says besides its table (dqviz.jobs.measure)."""
    timed = timed_together(rows, run)
    return store().timing(timed.run_id) if timed else {}


def widest_timing(rows: Sequence[RunRow]) -> pd.DataFrame:
    """The measurement of a study that timed the most bit widths together, or an empty table."""
    timed = have(rows, "latency")
    read = tables(timed, "latency")
    found = [table for row in timed if (table := read(row.run_id)) is not None]
    return max(found, key=lambda one: one["precision"].nunique()) if found else NO_TIMINGS


def other_widths(rows: Sequence[RunRow], row: RunRow) -> list[RunRow]:
    """`row`, then the runs that differ from it in nothing but their bits."""
    return [row, *(one for one in rows if family(one) == family(row) and one.run_id != row.run_id)]


def with_costs(rows: Sequence[RunRow], study: Sequence[RunRow]) -> list[dict[str, Any]]:
    """JSON rows with sizes, mean bits and, where it or another width of the study was timed with it, latency_ms."""
    timed = have(study, "latency")
    return costs.with_costs(rows, timed, tables(timed, "latency"))


def is_own(row: RunRow) -> bool:
    """Whether this computer has trained the run: only then is there a model to time."""
    try:
        return ledger().run(row.run_id).state == "finished"
    except BadInput:
        return False


def untimed(row: RunRow) -> Nothing:
    """What to do about a run without a timing."""
    if is_own(row):
        return Nothing("This run has not been timed yet: press “Measure now”. It waits until nothing trains.", url="")
    return Nothing("This run came without its model, so it cannot be timed here: train it to time it.")


def show_measure(rows: Sequence[RunRow], row: RunRow, found: pd.DataFrame) -> None:
    """The button that asks for a timing, and what stands in its way."""
    if not is_own(row):
        if len(found):
            show_exactness(found)
        return
    waiting = active()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.popover("Settings", icon=":material/tune:"):
            threads = st.number_input("Threads", value=min(2, os.cpu_count() or 1), step=1, key="measure-threads")
            repeats = st.number_input("Repetitions", value=30, step=5, key="measure-repeats")
        st.button("Measure now", type="primary", icon=":material/timer:", key="measure", on_click=act,
                  args=(_submit, other_widths(rows, row), int(threads), int(repeats)))  # fmt: skip
        if len(found):
            show_exactness(found)
        if about_timing(rows, row).get("busy"):
            st.badge("timed on a busy computer", icon=":material/warning:", color="orange")
        if any(getattr(one.spec, "target", "") == row.run_id for one in waiting):
            st.caption("A timing of this run is under way or queued; it waits until this computer is quiet.")
        elif waiting:
            st.caption("Trainings are running or queued: the timing starts when they are done, alone.")
        elif busy():
            st.caption(":material/warning: This computer is busy with something else; timings will scatter.")
        else:
            st.caption("Runs alone: no training starts while it lasts.")


def busy() -> bool:
    """Whether other work keeps more than half of the cores occupied (1 minute load average)."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY_SHARE * (os.cpu_count() or 1)


def _submit(widths: Sequence[RunRow], threads: int, repeats: int) -> None:
    first, *others = widths
    beside = tuple(row.run_id for row in others if row.state == "finished")
    asked = make_measure(target=first.run_id, beside=beside, threads=threads, repeats=repeats)
    ledger().submit_measure(asked.model_copy(update={"again": times_timed(ledger().measures(first.run_id), asked)}))


def times_timed(done: Sequence[RunRow], asked: MeasureSpec) -> int:
    """How often just this was timed: who asks for it once more (of a busy computer, say) is given a new timing."""
    return sum(isinstance(one.spec, MeasureSpec) and one.spec.model_copy(update={"again": 0}) == asked for one in done)


def make_measure(**values: Any) -> MeasureSpec:
    """A MeasureSpec; BadInput in one sentence when a number does not fit."""
    try:
        return MeasureSpec(**values)
    except ValueError as error:
        raise BadInput(one_sentence("Timing", error)) from error
