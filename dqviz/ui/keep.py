"""Charts kept for as long as the runs they show stay the same: a page draws in milliseconds what was drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pandas as pd
import streamlit as st

from dqviz.ui.select import Chosen
from dqviz.ui.store import stamps, tables

T = TypeVar("T")
MAX_KEPT = 400  # about 100 kB each
Drawn = tuple[Any, Any]  # a figure and the info it was drawn from
GroupRuns = Callable[[Sequence[dict[str, Any]], Callable[[str], pd.DataFrame | None]], Any]


def kept(subject: Chosen | str, make: Callable[..., T], *choices: object) -> T:
    """`make(*choices)`, once for these runs. The result is shared by all sessions: nobody changes it.

    `make` may depend on nothing but the files of `subject` (runs, or a data set by name) and on `choices`.
    """
    key = repr([subject if isinstance(subject, str) else stamp(subject), *(_name(part) for part in (make, *choices))])
    result: T = _keep(key, lambda: make(*choices))
    return result


def drawer(group_runs: GroupRuns) -> Callable[..., Drawn]:
    """`draw(chosen, analyse, plot, names, *choices)` -> (figure, info), kept; for the top of a page.

    `analyse` gets the groups of each table in `names` (separated by spaces), then the choices.
    """

    def draw(chosen: Chosen, analyse: Callable[..., Any], plot: Callable[..., Any], names: str, *rest: object) -> Drawn:
        def make(*_key: object) -> Drawn:
            groups = [group_runs(chosen.records, tables(chosen.rows, name)) for name in names.split()]
            info = analyse(*groups, *rest)
            return plot(info), info

        return kept(chosen, make, analyse, plot, names, *rest)

    return draw


def stamp(chosen: Chosen) -> str:
    """The runs and the state of all their files, timings included."""
    parts = stamps(chosen.rows, "latency"), [(row.run_id, row.attempt) for row in chosen.rows]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _name(part: object) -> object:
    """A function by where it is written: those of a page are new objects in every run of its script."""
    code = getattr(part, "__code__", None)
    return part if code is None else (code.co_filename, code.co_qualname)


@st.cache_resource(max_entries=MAX_KEPT, show_spinner=False)
def _keep(key: str, _make: Callable[[], Any]) -> Any:  # noqa: ARG001 (the key is what it is kept by)
    return _make()
