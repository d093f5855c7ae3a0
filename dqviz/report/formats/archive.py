"""A zip with every format, every table, the study and the exact command that makes it again."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from dqviz.report.blocks import Report
from dqviz.report.formats import data, html, latex, markdown
from dqviz.report.safe import one_line

# Fixed, so that the same report gives the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


def write(report: Report, out: Path) -> None:
    out.write_bytes(archive(report))


def archive(report: Report) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files(report).items():
            target.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def files(report: Report) -> dict[str, str | bytes]:
    """Name in the zip -> content. Names come from the registry of sections, never from a study."""
    runs = data.runs_frame(report)
    found: dict[str, str | bytes] = {
        "README.txt": readme(report), "report.html": html.html(report), "report.md": markdown.markdown(report),
        "tables.tex": latex.latex(report), "report.json": data.json(report), "study.json": report.study_json,
        "references.bib": report.bibliography, "runs.csv": data.csv(runs), "runs.parquet": data.parquet(runs),
    }  # fmt: skip
    for table in report.tables():
        found[f"tables/{table.name}.csv"] = data.csv(table.frame)
        found[f"tables/{table.name}.parquet"] = data.parquet(table.frame)
    return found


def readme(report: Report) -> str:
    return (
        f"{one_line(report.title)}\n\nreport.html is the report; tables/ holds every number in it.\n\n"
        f"To train the same runs again, in a checkout of dqviz:\n\n    {one_line(report.command)}\n"
    )
