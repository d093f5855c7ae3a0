"""What the charts of a page are about: study, runs, layer and site, local or accumulated error, metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import streamlit as st

from dqviz.runs.ledger import RunRow, StudyRow
from dqviz.spec import FULL_PRECISION
from dqviz.ui import names, pick
from dqviz.ui.page import START, Nothing
from dqviz.ui.store import have, known, studies, study_runs

MOST_LINES = 7  # PAGES.md: at most seven lines in a chart; a person may still choose more

Record = Mapping[str, Any]
Grouping = Callable[[Sequence[Record]], Mapping[Any, Sequence[Record]]]


@dataclass(frozen=True)
class Chosen:
    """A study and finished runs of it, all seeds of each chosen group."""

    study_id: str
    name: str
    rows: tuple[RunRow, ...]

    @property
    def ids(self) -> list[str]:
        return [row.run_id for row in self.rows]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One JSON row a run, as `study show --json` prints it."""
        return [row.row() for row in self.rows]

    def having(self, table: str) -> Chosen:
        return Chosen(self.study_id, self.name, tuple(have(self.rows, table)))


def labelled(rows: Sequence[StudyRow]) -> dict[str, StudyRow]:
    """What a study is called in every selector and link: its name, with its id where two have the same."""
    labels = names.unique([row.name for row in rows], [row.study_id for row in rows])
    return dict(zip(labels, rows, strict=True))


def find_asked(rows: Mapping[str, StudyRow]) -> str:
    """Points the address at the study it names by id, or by a name that two have by now; what it asks for in vain."""
    asked = st.query_params.get("study", "")
    if st.session_state.get("study") is not None or not asked or asked in rows:
        return ""
    meant = next((label for label, row in rows.items() if asked in (row.study_id, row.name)), "")
    if meant:
        pick.readdress("study", meant)
    return "" if meant else asked


def choose_study(width: pick.Width = 220) -> Chosen:
    """All finished runs of one study. Nothing when none has finished yet."""
    rows = labelled(studies())
    if not rows:
        raise Nothing("No study has been trained on this computer yet, and the demo study is not installed.")
    absent = find_asked(rows)
    study = pick.pick("Study", "study", rows, width=width)
    if absent:
        st.session_state["absent-study"] = absent, study.study_id
    absent, instead = st.session_state.get("absent-study", ("", ""))
    if study.study_id == instead:
        st.caption(f"“{names.plain(absent)}” is not on this computer; this is another study.")
    finished = tuple(row for row in study_runs(study.study_id) if row.kind == "train" and row.state == "finished")
    return Chosen(study.study_id, study.name, finished)


def full_precision(chosen: Chosen, table: str) -> Chosen:
    """The full-precision runs of the same study on the same data sets, every architecture, that left `table` behind."""
    rows = [row for row in study_runs(chosen.study_id) if row.state == "finished" and row.bits == FULL_PRECISION]
    datasets = {row.dataset for row in chosen.rows}
    return Chosen(chosen.study_id, chosen.name, tuple(have([row for row in rows if row.dataset in datasets], table)))


def beside_full_precision(chosen: Chosen, table: str) -> Chosen:
    """The chosen runs, after the full-precision runs of the same networks that left `table` behind."""
    networks = {network(row) for row in chosen.rows}
    rows = [row for row in full_precision(chosen, table).rows if network(row) in networks]
    return Chosen(chosen.study_id, chosen.name, (*rows, *(row for row in chosen.rows if row not in rows)))


def network(row: RunRow) -> tuple[Any, ...]:
    """Data set, architecture and depth."""
    return row.dataset, row.arch, row.arch_settings.get("layers")


def choose_runs(
    grouping: Grouping, table: str = "", quantized: bool = False, protecting: bool = False, every: bool = False
) -> Chosen:
    """Study and groups of runs. `grouping` is analysis.seeds_by_variant: one name for the selector and the chart.

    `table`: only runs that left it behind. `quantized`: without full precision. `protecting`: only methods that protect
    nodes. `every`: all groups are chosen at first, not one architecture's.
    """
    left, right = st.columns([2, 5], vertical_alignment="bottom")  # one below the other on a narrow screen
    with left:
        study = choose_study(width="stretch")
    rows = {row.run_id: row for row in study.rows if not quantized or row.bits != FULL_PRECISION}
    if protecting:
        rows = {run_id: row for run_id, row in rows.items() if protects(row.method)}
    if table:
        rows = {row.run_id: row for row in have(list(rows.values()), table)}
    if not rows:
        where = ("compare", "Compare its runs") if study.rows else ("train", START)
        raise Nothing(f"No finished run of “{names.plain(study.name)}” has what this page shows. Studies that come "
                      "with dqviz leave some of it out; runs that are trained here hold it.", *where)  # fmt: skip
    groups = grouping([row.row() for row in rows.values()])
    options = {who.label: [rows[str(record["run_id"])] for record in found] for who, found in groups.items()}
    first = list(options) if every else first_family(options)
    with right:
        chosen = pick.pick_many("Runs (each with all its seeds)", "runs", options, first)
    if not chosen:
        raise Nothing("Choose at least one group of runs above.", url="")
    return Chosen(study.study_id, study.name, tuple(row for group in chosen for row in group))


def require_table(chosen: Chosen, table: str, what: str) -> None:
    """Raises Nothing where none of the chosen runs left this table behind. `what`: what it holds, in words."""
    if not have(chosen.rows, table):
        raise Nothing(f"These runs hold no {what}: kept studies leave it out. Runs that are trained here hold it.")


def first_family(groups: Mapping[str, Sequence[RunRow]]) -> list[str]:
    """Labels of the groups of the first architecture and depth, at most seven: colour tells methods, dash bits.

    Where there are more, each method's first width comes before any second one, so that no method is left out.
    """
    families = {label: (rows[0].arch, rows[0].arch_settings.get("layers")) for label, rows in groups.items()}
    own = [label for label, family in families.items() if family == next(iter(families.values()))]
    of_method: dict[str, list[str]] = {}
    for label in own:
        of_method.setdefault(groups[label][0].method, []).append(label)
    turns = [label for turn in zip_longest(*of_method.values()) for label in turn if label][:MOST_LINES]
    return [label for label in own if label in turns]


def protects(method: str) -> bool:
    """Whether a method protects nodes, by the settings it has."""
    return any(row.name == method and "p_max" in row.schema.get("properties", {}) for row in known().rows("method"))


def choose_run(chosen: Chosen, timed: bool = False) -> RunRow:
    """One run of the chosen groups: a seed. `timed`: those that have a timing come first."""
    rows = list(chosen.rows)
    if timed:
        done = {row.run_id for row in have(rows, "latency")}
        rows.sort(key=lambda row: (row.run_id not in done, row.test_accuracy_integer is None))
    if not rows:
        raise Nothing(f"No run of “{names.plain(chosen.name)}” has finished yet.")
    labels = names.unique([names.run_name(row) for row in rows], [row.run_id for row in rows])
    return pick.pick("Run", "run", dict(zip(labels, rows, strict=True)), width=320)
