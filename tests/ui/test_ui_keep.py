"""What is kept is made once for the same runs and choices, and again when a run was made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st

from dqviz.runs.ledger import RunRow
from dqviz.spec import RunSpec
from dqviz.ui.keep import drawer, kept
from dqviz.ui.select import Chosen


@pytest.fixture
def chosen(home: Path) -> Chosen:
    st.cache_resource.clear()
    spec = RunSpec(dataset="karate", arch="gcn", method="qat")
    return Chosen("s", "a study", (RunRow(spec.digest, "train", "finished", spec, home),))


def test_the_same_runs_and_choices_are_drawn_once(chosen: Chosen) -> None:
    made: list[str] = []

    def make(choice: str) -> str:
        made.append(choice)
        return choice.upper()

    assert [kept(chosen, make, choice) for choice in "aab"] == ["A", "A", "B"]
    assert made == ["a", "b"]


def test_a_new_attempt_is_drawn_anew(chosen: Chosen) -> None:
    counted = iter(range(9))
    retried = Chosen("s", "a study", (replace(chosen.rows[0], attempt=2),))
    assert [kept(one, counted.__next__) for one in (chosen, chosen, retried)] == [0, 0, 1]


def test_a_chart_of_two_tables_gets_the_groups_of_both(chosen: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dqviz.ui.keep.tables", lambda _rows, name: name)
    draw = drawer(lambda records, table: [(record["method"], table) for record in records])
    figure, info = draw(chosen, lambda one, two, key: (one, two, key), len, "degree ranges", "1/aggregate")
    assert info == ([("qat", "degree")], [("qat", "ranges")], "1/aggregate")
    assert figure == 3
