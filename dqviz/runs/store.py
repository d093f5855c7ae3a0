"""What pages and reports read: the ledger's studies and the demo study, behind one door. It never writes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqviz.errors import BadInput
from dqviz.runs import artifacts, demo
from dqviz.runs.demo import DEMO_ID
from dqviz.runs.home import assets_dir
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import RunRow, StudyRow

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("latency",)
"""Tables that a measurement leaves in its own folder and that are read under the run it measured."""


class Store:
    """`demo` is the folder of the demo study (default: the one shipped in assets/)."""

    def __init__(self, ledger: Ledger | None = None, demo: Path | None = None) -> None:
        self.ledger = ledger or Ledger()
        self._demo_folder = demo or assets_dir() / "demo"

    def studies(self) -> list[StudyRow]:
        """Newest first, the demo last."""
        shipped = self._demo()
        return self.ledger.studies() + ([shipped[0]] if shipped else [])

    def study(self, study_id: str) -> StudyRow:
        """Raises BadInput that lists the studies for an unknown id."""
        shipped = self._demo()
        return shipped[0] if shipped and study_id == DEMO_ID else self.ledger.study(study_id)

    def runs(self, study_id: str | None = None) -> list[RunRow]:
        """Runs of a study in its order; without an id those of all studies and the demo."""
        shipped = self._demo()
        shown = shipped[1] if shipped else []
        if study_id == DEMO_ID and shipped:
            return list(shown)
        if study_id is not None:
            self.ledger.study(study_id)
            return self.ledger.runs(study_id)
        own = self.ledger.runs()
        known = {row.run_id for row in own}
        return own + [row for row in shown if row.run_id not in known]

    def run(self, run_id: str) -> RunRow:
        """The ledger's row, or the demo's where the ledger has none or has not finished it."""
        shipped = self._demo()
        shown = next((row for row in shipped[1] if row.run_id == run_id), None) if shipped else None
        try:
            row = self.ledger.run(run_id)
        except BadInput:
            if shown is None:
                raise
            return shown
        return shown if shown is not None and row.state != "finished" else row

    def table(self, run_id: str, name: str) -> pd.DataFrame:
        """Raises Unavailable when the run has no table of that name, BadInput for an unknown run."""
        return artifacts.read_table(self._folder(run_id, name), name)

    def json(self, run_id: str, name: str) -> Any:
        return artifacts.read_json(self._folder(run_id, name), name)

    def has(self, run_id: str, name: str) -> bool:
        """Is there a table or a JSON file of this name (without its ending)?"""
        folder = self._folder(run_id, name)
        return any((folder / f"{name}.{ending}").is_file() for ending in ("parquet", "json"))

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
        return self.run(run_id).folder

    def _demo(self) -> tuple[StudyRow, list[RunRow]] | None:
        path = self._demo_folder / "study.json"
        return _read_demo(self._demo_folder, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=4)
def _read_demo(folder: Path, _changed: int) -> tuple[StudyRow, list[RunRow]] | None:
    return demo.read(folder)
