"""What pages and reports read: the ledger's studies, kept ones and the demo, behind one door. It never writes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqviz.errors import BadInput, unknown
from dqviz.runs import artifacts, costs, demo, kept
from dqviz.runs.demo import TIMING
from dqviz.runs.home import assets_dir
from dqviz.runs.kept import Shipped
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import RunRow, StudyRow

if TYPE_CHECKING:
    import pandas as pd

LATENCY = "latency"
MEASURED = (LATENCY,)
"""Tables that a measurement leaves in its own folder and that are read under the run it measured."""
MOST_NAMED = 20
"""Own studies that are named where an unknown one was asked for."""


class Store:
    """`demo` is the folder of the demo study (default: the one shipped in assets/); kept studies lie beside it."""

    def __init__(self, ledger: Ledger | None = None, demo: Path | None = None) -> None:
        self.ledger = ledger or Ledger()
        self._demo_folder = demo or assets_dir() / "demo"
        self._kept_folder = self._demo_folder.parent / "studies"

    def studies(self) -> list[StudyRow]:
        """Newest first, then the demo, which has every table, then the kept ones."""
        return self.ledger.studies() + [study for study, _ in self._shipped()]

    def study(self, study_id: str) -> StudyRow:
        """Raises BadInput that lists the studies for an unknown id."""
        shipped = {study.study_id: study for study, _ in self._shipped()}
        if study_id in shipped:
            return shipped[study_id]
        try:
            return self.ledger.study(study_id)
        except BadInput:
            newest = [study.study_id for study in self.ledger.studies()[:MOST_NAMED]]
            raise unknown("study", study_id, [*newest, *shipped]) from None

    def runs(self, study_id: str | None = None) -> list[RunRow]:
        """Runs of a study in its order; without an id those of all studies, each as `run` tells it."""
        shipped = self._shipped()
        for study, rows in shipped:
            if study.study_id == study_id:
                return list(rows)
        if study_id is not None:
            self.study(study_id)
            return self.ledger.runs(study_id)
        known = {row.run_id: row for _, rows in reversed(shipped) for row in rows}
        own = {row.run_id: row for row in self.ledger.runs()}
        done = {run_id: row for run_id, row in own.items() if row.state == "finished"}
        return list({**own, **known, **done}.values())

    def run(self, run_id: str) -> RunRow:
        """The ledger's row, or the shipped one where the ledger has none or has not finished it."""
        return self._row(run_id, self._shown(run_id))

    def table(self, run_id: str, name: str) -> pd.DataFrame:
        """Raises Unavailable when the run has no table of that name, BadInput for an unknown run."""
        folder = self._folder(run_id, name)
        return kept.table(folder, run_id, name) if kept.is_kept(folder) else artifacts.read_table(folder, name)

    def with_costs(self, runs: Sequence[RunRow]) -> list[dict[str, Any]]:
        """JSON rows with sizes, mean bits and, where it was measured, latency."""
        timed = [run for run in runs if self.has(run.run_id, LATENCY)]
        return costs.with_costs(runs, timed, lambda run_id: self.table(run_id, LATENCY))

    def json(self, run_id: str, name: str) -> Any:
        folder = self._folder(run_id, name)
        return kept.document(folder, run_id, name) if kept.is_kept(folder) else artifacts.read_json(folder, name)

    def has(self, run_id: str, name: str) -> bool:
        """Is there a table or a JSON file of this name (without its ending)?"""
        folder = self._folder(run_id, name)
        if kept.is_kept(folder):
            return kept.has(folder, run_id, name)
        return any((folder / f"{name}.{ending}").is_file() for ending in ("parquet", "json"))

    def timing(self, run_id: str) -> dict[str, Any]:
        """What the run's newest measurement says besides its table (processor, threads, instructions, notes): {} where
        it was not timed, or shipped before this was kept.
        """
        newest = self.ledger.measures(run_id)[:1]
        if newest:
            return {"threads": getattr(newest[0].spec, "threads", 1), **newest[0].summary}
        folder = self._folder(run_id, LATENCY)  # the one that has the times
        if kept.is_kept(folder):
            return dict(kept.document(folder, run_id, TIMING)) if kept.has(folder, run_id, TIMING) else {}
        return dict(artifacts.read_json(folder, TIMING)) if (folder / f"{TIMING}.json").is_file() else {}

    def metrics(self, run_id: str) -> pd.DataFrame:
        """Epochs of a run: its artifact once finished, the ledger's live rows before."""
        if self.has(run_id, "metrics"):
            return self.table(run_id, "metrics")
        return self.ledger.metrics(run_id)

    def _folder(self, run_id: str, name: str) -> Path:
        if name in MEASURED:
            newest = self.ledger.measures(run_id)
            if newest:
                return newest[0].folder
        shown = self._shown(run_id)
        folder = self._row(run_id, shown).folder
        if not kept.is_kept(folder):
            return folder
        # Of a run in two kept studies one may have kept a table that the other, packed before, left out.
        folders = (row.folder for row in shown if kept.is_kept(row.folder))
        return next((one for one in folders if kept.has(one, run_id, name)), folder)

    def _shown(self, run_id: str) -> list[RunRow]:
        """The rows of a run in the shipped studies, in their order."""
        demo_rows = [row for _, rows in self._demo() for row in rows if row.run_id == run_id]
        return demo_rows + kept.holding(self._kept_folder, run_id)

    def _row(self, run_id: str, shown: Sequence[RunRow]) -> RunRow:
        """What `run` returns; `shown`: the run's shipped rows."""
        try:
            row = self.ledger.run(run_id)
        except BadInput:
            if not shown:
                raise
            return shown[0]
        return shown[0] if shown and row.state != "finished" else row

    def _shipped(self) -> list[Shipped]:
        """Studies that are only read: the demo, then the kept ones."""
        return self._demo() + kept.read_all(self._kept_folder)

    def _demo(self) -> list[Shipped]:
        path = self._demo_folder / "study.json"
        shown = _read_demo(self._demo_folder, path.stat().st_mtime_ns) if path.is_file() else None
        return [shown] if shown else []


@lru_cache(maxsize=4)
def _read_demo(folder: Path, _changed: int) -> Shipped | None:
    return demo.read(folder)
