"""The demo study: real finished runs in a folder that is only read. `export` makes such a folder from a study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dqviz.errors import BadInput
from dqviz.runs import plain
from dqviz.runs.rows import RunRow, StudyRow, parse_spec
from dqviz.runs.shelf import STUDY, replacing, size_of

if TYPE_CHECKING:
    from dqviz.runs.store import Store

DEMO_ID = "demo"
BUDGET_BYTES = 3_200_000
MODEL = "model.safetensors"
TIMING = "timing"
"""Where a timing was taken (`Store.timing`)."""
# A second seed is there for its interval; charts that need one of these show the first seed of a group.
OF_FIRST_SEED = ("nodes.parquet", "edges.parquet", "histograms.parquet", "quantiles.parquet", "sites.parquet")


def read(folder: Path) -> tuple[StudyRow, list[RunRow]] | None:
    """The study in `folder` and its runs; None when there is none."""
    path = folder / STUDY
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = [_run(row, folder) for row in document["rows"]]
    return StudyRow(DEMO_ID, document["name"], counts={"finished": len(rows)}, demo=True), rows


def export(store: Store, study_id: str, target: Path, budget_bytes: int = BUDGET_BYTES) -> int:
    """Writes the finished runs of a study to `target` (replaced); its size.

    Raises BadInput over budget, or where `target` holds something else than a study.
    """
    rows = [row for row in store.runs(study_id) if row.state == "finished" and row.kind == "train"]
    if not rows:
        raise BadInput(f"Study {study_id!r} has no finished run to export.")
    known: set[str] = set()
    with replacing(target, budget_bytes, "The study without its models") as beside:
        for row in rows:
            left_out = {MODEL, *(OF_FIRST_SEED if row.configuration in known else ())}
            _copy(store, row, beside / "runs" / row.run_id, left_out)
            known.add(row.configuration)
        document = {"id": DEMO_ID, "name": store.study(study_id).name, "rows": [_record(row) for row in rows]}
        (beside / STUDY).write_text(plain.dumps(document, indent=1), encoding="utf-8")
    return size_of(target)


def _copy(store: Store, row: RunRow, target: Path, left_out: set[str]) -> None:
    """Files of a run; tables in single precision, without manifest (it would vouch for files that are left out)."""
    target.mkdir(parents=True)
    if about := store.timing(row.run_id):
        (target / f"{TIMING}.json").write_text(plain.dumps(about, indent=1), encoding="utf-8")
    for path in row.folder.iterdir():
        if path.suffix == ".json" and path.name not in left_out | {"manifest.json"}:
            shutil.copy(path, target)
    for name in {path.stem for path in row.folder.glob("*.parquet")} | {"latency"}:
        if f"{name}.parquet" not in left_out and store.has(row.run_id, name):
            table = pa.Table.from_pandas(compact(store.table(row.run_id, name)), preserve_index=False)
            # pandas' own description of a small table is as large as the table.
            plainly = table.replace_schema_metadata(None)
            pq.write_table(plainly, target / f"{name}.parquet", compression="zstd", compression_level=12)


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """The table in single precision, errors of single nodes to two digits (there is one a node, site and kind)."""
    wide = table.select_dtypes("float64").columns
    errors = [name for name in table.columns if "|" in name]
    values = table[errors].to_numpy(dtype="float64")
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10 ** (np.floor(np.log10(np.abs(values))) - 1)
        rounded = np.where(values == 0, 0.0, np.round(values / unit) * unit)
    return table.assign(**dict(zip(errors, rounded.T, strict=True))).astype(dict.fromkeys([*wide, *errors], "float32"))


def _record(row: RunRow) -> dict[str, Any]:
    return row.row() | {"spec": row.spec.model_dump(mode="json"), "summary": dict(row.summary)}


def _run(record: dict[str, Any], folder: Path) -> RunRow:
    return RunRow(
        run_id=record["run_id"], kind="train", state="finished", spec=parse_spec("train", json.dumps(record["spec"])),
        folder=folder / "runs" / record["run_id"], study_ids=(DEMO_ID,), summary=record["summary"],
        epoch=record["epoch"], attempt=record["attempt"],
    )  # fmt: skip
