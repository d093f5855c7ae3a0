"""Cached access to what the runs left behind: plain data, keyed by the run and the state of its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dqviz.runs.catalogue import Catalogue, catalogue
from dqviz.runs.ledger import Ledger, RunRow, StudyRow
from dqviz.runs.store import MEASURED, Store

# 300 runs with eight tables each fit; the oldest entries go first.
MAX_TABLES = 2_400


@st.cache_resource(show_spinner=False)
def ledger() -> Ledger:
    """The ledger of this process: one engine, its connections pooled."""
    return Ledger()


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The ledger and the demo study behind one door."""
    return Store(ledger())


@st.cache_resource(ttl=10, max_entries=1, show_spinner="Reading the list of methods and data sets")
def known() -> Catalogue:
    """Names, summaries and settings of everything registered; made by a separate process when the code has changed.

    Looked up every ten seconds at most: finding out whether the code has changed takes some milliseconds.
    """
    return catalogue()


def defaults(kind: str, setting: str) -> dict[str, Any]:
    """Name -> default of a setting, of every registered variant of a kind that has it."""
    return known().defaults(kind, setting)


def studies() -> list[StudyRow]:
    """Latest first, the demo last."""
    return store().studies()


def study_runs(study_id: str) -> list[RunRow]:
    return store().runs(study_id)


def tables(rows: Sequence[RunRow], name: str) -> Callable[[str], pd.DataFrame | None]:
    """A reader of table `name` for these runs, by run_id; None where it is missing (later seeds of a compact study)."""
    keys = stamps(rows, name)
    there = {row.run_id for row in have(rows, name)}
    return lambda run_id: _table(run_id, keys[run_id], name) if run_id in there else None


def read_table(row: RunRow, name: str) -> pd.DataFrame:
    """Table `name` of one run. Raises Unavailable in one sentence when the run has none."""
    return _table(row.run_id, stamps([row], name)[row.run_id], name)


def have(rows: Sequence[RunRow], name: str) -> list[RunRow]:
    """The runs that left table `name` behind."""
    found = _having(tuple(stamps(rows, name).items()), name)
    return [row for row in rows if row.run_id in found]


def live_metrics(run_id: str) -> pd.DataFrame:
    """Epochs of a run so far."""
    return store().metrics(run_id)


def stamps(rows: Sequence[RunRow], name: str) -> dict[str, str]:
    """run_id -> what changes when the files of the run do: a retry, or a newer measurement of it."""
    if name not in MEASURED:
        return {row.run_id: str(row.attempt) for row in rows}
    newest: dict[str, str] = {}
    for measure in ledger().measures():
        newest.setdefault(getattr(measure.spec, "target", ""), f"{measure.run_id}-{measure.attempt}")
    return {row.run_id: newest.get(row.run_id, str(row.attempt)) for row in rows}


@st.cache_data(max_entries=MAX_TABLES, show_spinner=False)
def _table(run_id: str, stamp: str, name: str) -> pd.DataFrame:  # noqa: ARG001 (stamp is part of the key)
    return store().table(run_id, name)


@st.cache_data(max_entries=MAX_TABLES, show_spinner=False)
def _having(runs: tuple[tuple[str, str], ...], name: str) -> set[str]:
    """Which of these (run_id, stamp) have it: one answer for a study, not one look a run."""
    return {run_id for run_id, _ in runs if store().has(run_id, name)}
