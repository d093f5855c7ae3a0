"""What the sections read: one study's runs and their tables, grouped by seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from dqviz.analysis.group import Group, Row, group_runs, seeds_by_variant
from dqviz.errors import Unavailable
from dqviz.runs.catalogue import KINDS, Catalogue, catalogue
from dqviz.runs.rows import RunRow, StudyRow
from dqviz.runs.store import Store

# A chart holds seven lines at most; more are small multiples, one an architecture.
MOST_LINES = 7


@dataclass(frozen=True)
class Source:
    """A study as the sections see it."""

    store: Store
    study: StudyRow
    runs: tuple[RunRow, ...]

    @classmethod
    def of(cls, store: Store, study_id: str) -> Source:
        """Raises BadInput, listing the studies, for an unknown id."""
        return cls(store, store.study(study_id), tuple(run for run in store.runs(study_id) if run.kind == "train"))

    @cached_property
    def finished(self) -> tuple[RunRow, ...]:
        return tuple(run for run in self.runs if run.state == "finished")

    @cached_property
    def rows(self) -> list[Row]:
        """JSON rows of the finished runs with what they cost, as the analyses take them."""
        return list(self.store.with_costs(self.finished))

    def networks(self) -> list[tuple[str, list[Row]]]:
        """(heading, rows) of each data set and architecture."""
        keys = dict.fromkeys((run["dataset"], run["arch"]) for run in self.rows)
        return [(self.heading(*key), self._where(*key)) for key in keys]

    def multiples(self) -> list[tuple[str, list[Row]]]:
        """The same as small multiples of at most seven groups of seeds."""
        return [(heading if at == 0 else f"{heading} ({at + 1})", part) for heading, rows in self.networks()
                for at, part in enumerate(in_sevens(rows))]  # fmt: skip

    def heading(self, dataset: str, arch: str) -> str:
        """The architecture, with its data set where the study has several."""
        several = len({run["dataset"] for run in self.rows}) > 1
        return f"{arch.upper()}, {dataset}" if several else arch.upper()

    def groups(self, rows: Iterable[Row], table: str) -> list[Group]:
        """Seeds grouped, with `table` of each; runs without it are left out."""
        return group_runs(list(rows), lambda run_id: self.table(run_id, table))

    def table(self, run_id: str, name: str) -> pd.DataFrame | None:
        """None where the run has no such table."""
        try:
            return self.store.metrics(run_id) if name == "metrics" else self.store.table(run_id, name)
        except Unavailable:
            return None

    def document(self, run_id: str, name: str) -> Any:
        """A JSON file of a run; {} where it has none."""
        try:
            return self.store.json(run_id, name)
        except Unavailable:
            return {}

    def registered(self, kind: str, name: str) -> frozenset[str]:
        """Citation keys of a registered name; an upload, or a name this version does not know, has none."""
        return self._cites.get((kind, name), frozenset())

    @cached_property
    def default_layers(self) -> dict[str, int]:
        """Layers of each architecture where a run does not set them."""
        return self._known.defaults("arch", "layers") if self._known else {}

    @cached_property
    def _cites(self) -> dict[tuple[str, str], frozenset[str]]:
        if self._known is None:
            return {}
        return {(kind, row.name): frozenset(row.cites) for kind in KINDS for row in self._known.rows(kind)}

    @cached_property
    def _known(self) -> Catalogue | None:
        """Read once: asking for the catalogue looks at every file of the package. None where it cannot be made."""
        try:
            return catalogue()
        except Unavailable:
            return None

    def _where(self, dataset: str, arch: str) -> list[Row]:
        return [row for row in self.rows if (row["dataset"], row["arch"]) == (dataset, arch)]


def in_sevens(rows: list[Row]) -> list[list[Row]]:
    """Rows cut into parts of at most seven groups of seeds each."""
    groups = list(seeds_by_variant(rows).values())
    cuts = range(0, len(groups), MOST_LINES)
    return [[row for group in groups[at : at + MOST_LINES] for row in group] for at in cuts]


def last_key(groups: Sequence[Group], site: str) -> str | None:
    """The deepest site of this kind that the groups' tables name: where errors have come together."""
    frames = [frame[frame["site"] == site] for group in groups for frame in group.frames]
    frame = pd.concat(frames) if frames else pd.DataFrame()
    return None if frame.empty else str(frame.sort_values("layer", kind="stable")["key"].iloc[-1])
