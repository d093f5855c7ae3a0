"""CSV, Parquet and JSON: the numbers for programs."""

from __future__ import annotations

import io
from csv import QUOTE_NONNUMERIC
from pathlib import Path
from typing import Any

import pandas as pd

from dqviz.report.blocks import Chart, Code, Report, Section, Table, Text
from dqviz.report.safe import for_csv
from dqviz.runs.plain import dumps


def write_csv(report: Report, out: Path) -> None:
    out.write_text(csv(runs_frame(report)), encoding="utf-8")


def write_parquet(report: Report, out: Path) -> None:
    out.write_bytes(parquet(runs_frame(report)))


def write_json(report: Report, out: Path) -> None:
    out.write_text(json(report), encoding="utf-8")


def runs_frame(report: Report) -> pd.DataFrame:
    """One row a run; a map from site to bits as its JSON."""
    frame = pd.DataFrame(list(report.rows))
    if "bits" in frame:
        frame["bits"] = [dumps(value) if isinstance(value, dict) else value for value in frame["bits"]]
    return frame


def csv(frame: pd.DataFrame) -> str:
    """Text cells neutralised and quoted (a bare return would start a row), numbers as they are to the last digit."""
    safe = frame.map(for_csv)
    safe.columns = [for_csv(str(name)) for name in frame.columns]
    return str(safe.to_csv(index=False, lineterminator="\n", quoting=QUOTE_NONNUMERIC))


def parquet(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    typed = frame.copy()
    for name in typed.columns:
        if typed[name].map(lambda value: isinstance(value, list | dict | tuple)).any():
            typed[name] = [dumps(value) for value in typed[name]]
        elif typed[name].dtype == object and typed[name].map(type).nunique() > 1:
            typed[name] = [None if value is None else str(value) for value in typed[name]]
    typed.to_parquet(stream, compression="zstd", index=False)
    return stream.getvalue()


def json(report: Report) -> str:
    document = {
        "study_id": report.study_id, "title": report.title, "command": report.command, "rows": list(report.rows),
        "sections": [_section(section) for section in report.sections], "bibliography": report.bibliography,
    }  # fmt: skip
    return dumps(document, indent=1)


def _section(section: Section) -> dict[str, Any]:
    return {"name": section.name, "title": section.title, "blocks": [_block(block) for block in section.blocks]}


def _block(block: Text | Code | Table | Chart) -> dict[str, Any]:
    if isinstance(block, Text | Code):
        return {"kind": type(block).__name__.lower(), "text": block.text}
    frame = block.frame if isinstance(block, Table) else block.table
    return {
        "kind": type(block).__name__.lower(), "name": block.name, "title": block.title, "sentence": block.sentence,
        "rows": frame.to_dict(orient="records"),
    }  # fmt: skip
