"""Studies kept in the checkout: finished runs packed into a few files that are only read, without models.

A folder of assets/studies holds study.json (id, name), runs.parquet (spec, summary, provenance and timing of every run)
and one Parquet file a table with the rows of all runs, told apart by `run_id`. A run has a file of its own nowhere: 390
small Parquet files would be mostly footers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dqviz.errors import BadInput, Unavailable
from dqviz.runs import plain
from dqviz.runs.demo import DEMO_ID, TIMING, compact
from dqviz.runs.rows import RunRow, StudyRow, parse_spec
from dqviz.runs.shelf import STUDY, replacing, size_of

if TYPE_CHECKING:
    from dqviz.runs.store import Store

Shipped = tuple[StudyRow, list[RunRow]]
RUN_ID = "run_id"
RUNS = "runs.parquet"
OF_ALL = ("accuracy", "smoothness")
OF_FIRST_SEED = ("degree", "growth", "aggregation", "ranges", "histograms", "gradients", "metrics", "widths",
                 "sites")  # fmt: skip
"""Tables of the first seed of each group: a table of every seed would be ten times as large."""
OF_TIMED = ("latency",)
"""Tables that only a measurement makes."""
EMPTY = plain.dumps({})
TEXTS = ("spec", "summary", "provenance", TIMING)
BUDGET_BYTES = 4_000_000
MOST_STUDIES = 64
"""Kept studies that stay parsed: every look goes over all of them, so one too many would be read anew each time."""
LEFT_OUT = "The studies that come with dqviz leave out {!r}; a run that is trained here holds it."


def pack(
    store: Store, name: str, runs: Sequence[RunRow], target: Path, budget_bytes: int = BUDGET_BYTES,
    scores_only: bool = False,
) -> int:  # fmt: skip
    """Packs those of `runs` that have finished into `target` (replaced), a study called `name`; the size in bytes.

    The name of the folder is the study's id. `scores_only`: without the tables of first seeds, for a study of timings.

    Raises BadInput when nothing has finished, when the name is taken by the demo, over budget, or where `target` holds
    something else than a study.
    """
    rows = [row for row in runs if row.state == "finished" and row.kind == "train"]
    if not rows:
        raise BadInput(f"Study {name!r} has no finished run to keep.")
    if target.name == DEMO_ID:
        raise BadInput(f"A kept study cannot be called {DEMO_ID!r}.")
    with replacing(target, budget_bytes, "The kept study") as beside:
        _write(pd.DataFrame([_record(store, row) for row in rows]), beside / RUNS)
        for kind in OF_ALL + OF_TIMED:
            _write_table(store, rows, kind, beside)
        for kind in () if scores_only else OF_FIRST_SEED:
            _write_table(store, _first_seeds(rows), kind, beside)
        study = {"id": target.name, "name": name, "runs": len(rows)}
        (beside / STUDY).write_text(plain.dumps(study, indent=1) + "\n", encoding="utf-8")
    return size_of(target)


def read_all(folder: Path) -> list[Shipped]:
    """Every kept study below `folder`, by name."""
    return [_read(one, changed) for one, changed in _folders(folder)]


def holding(folder: Path, run_id: str) -> list[RunRow]:
    """The rows of one run in the kept studies below `folder`, in their order."""
    found = (_by_id(one, changed).get(run_id) for one, changed in _folders(folder))
    return [row for row in found if row is not None]


def is_kept(folder: Path) -> bool:
    """Is this the folder of a kept study (and not of one run)?"""
    return (folder / RUNS).is_file()


def table(folder: Path, run_id: str, name: str) -> pd.DataFrame:
    """One table of one run. Raises Unavailable where it was not kept."""
    found = _tables(folder, name, _changed(folder)).get(run_id)
    if found is None:
        raise Unavailable(LEFT_OUT.format(name))
    return found


def document(folder: Path, run_id: str, name: str) -> Any:
    """One JSON file of one run. Raises Unavailable where it was not kept."""
    if name not in TEXTS or not has(folder, run_id, name):
        raise Unavailable(LEFT_OUT.format(name))
    return json.loads(str(_runs(folder, _changed(folder)).at[run_id, name]))


def has(folder: Path, run_id: str, name: str) -> bool:
    changed = _changed(folder)
    if name not in TEXTS:
        return run_id in _tables(folder, name, changed)
    runs = _runs(folder, changed)  # packed before timings said where they were taken: no such column
    return name in runs.columns and str(runs.at[run_id, name]) != EMPTY


def _record(store: Store, row: RunRow) -> dict[str, Any]:
    provenance = store.json(row.run_id, "provenance") if store.has(row.run_id, "provenance") else {}
    return {RUN_ID: row.run_id, "epoch": row.epoch, "attempt": row.attempt, "spec": row.spec.model_dump_json(),
            "summary": plain.dumps(row.summary), "provenance": plain.dumps(provenance),
            TIMING: plain.dumps(store.timing(row.run_id))}  # fmt: skip


def _first_seeds(rows: list[RunRow]) -> list[RunRow]:
    first: dict[str, RunRow] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        first.setdefault(row.configuration, row)
    return list(first.values())


def _write_table(store: Store, rows: list[RunRow], name: str, folder: Path) -> None:
    frames = [compact(store.table(row.run_id, name)).assign(**{RUN_ID: row.run_id})
              for row in rows if store.has(row.run_id, name)]  # fmt: skip
    if frames:
        _write(pd.concat(frames, ignore_index=True), folder / f"{name}.parquet")


def _write(frame: pd.DataFrame, path: Path) -> None:
    plainly = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(plainly, path, compression="zstd", compression_level=19)


def _folders(folder: Path) -> list[tuple[Path, int]]:
    """The folders of kept studies, by name, each with when it was packed."""
    return [(path.parent, path.stat().st_mtime_ns) for path in sorted(folder.glob(f"[!.]*/{RUNS}"))]


def _changed(folder: Path) -> int:
    return (folder / RUNS).stat().st_mtime_ns


@lru_cache(maxsize=MOST_STUDIES)
def _read(folder: Path, changed: int) -> Shipped:
    about = json.loads((folder / STUDY).read_text(encoding="utf-8"))
    rows = [_run(run_id, record, folder) for run_id, record in _runs(folder, changed).iterrows()]
    return StudyRow(folder.name, about["name"], counts={"finished": len(rows)}, demo=True), rows


@lru_cache(maxsize=MOST_STUDIES)
def _by_id(folder: Path, changed: int) -> dict[str, RunRow]:
    return {row.run_id: row for row in _read(folder, changed)[1]}


@lru_cache(maxsize=MOST_STUDIES)
def _runs(folder: Path, _changed: int) -> pd.DataFrame:
    return pd.read_parquet(folder / RUNS).set_index(RUN_ID)


@lru_cache(maxsize=32)
def _tables(folder: Path, name: str, _changed: int) -> dict[str, pd.DataFrame]:
    """run_id -> its table; {} for a table that was not kept."""
    path = folder / f"{name}.parquet"
    if name == "runs" or not path.is_file():
        return {}
    groups = pd.read_parquet(path).groupby(RUN_ID, sort=False)
    return {str(run_id): frame.drop(columns=RUN_ID).reset_index(drop=True) for run_id, frame in groups}


def _run(run_id: Any, record: Any, folder: Path) -> RunRow:
    return RunRow(
        run_id=str(run_id), kind="train", state="finished", spec=parse_spec("train", record["spec"]), folder=folder,
        study_ids=(folder.name,), summary=json.loads(record["summary"]), epoch=int(record["epoch"]),
        attempt=int(record["attempt"]),
    )  # fmt: skip
