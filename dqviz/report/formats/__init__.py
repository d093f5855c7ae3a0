"""Formats of a report: one a file, one line here. Each writes a Report to a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dqviz.report.blocks import Report
from dqviz.report.formats import archive, data, html, latex, markdown, pdf


@dataclass(frozen=True)
class Format:
    """Name (also the file's ending), what it is in a sentence, what writes it, and why that cannot be done here."""

    name: str
    summary: str
    write: Callable[[Report, Path], None]
    mime: str
    missing: Callable[[], str] = str


FORMATS = {
    one.name: one
    for one in (
        Format("html", "One file with interactive charts that needs no network.", html.write, "text/html"),
        Format("pdf", "The same on paper; needs an installed Chromium.", pdf.write, "application/pdf",
               pdf.missing),
        Format("md", "Text and tables in Markdown.", markdown.write, "text/markdown"),
        Format("tex", "Every table in LaTeX.", latex.write, "application/x-tex"),
        Format("csv", "One row a run.", data.write_csv, "text/csv"),
        Format("parquet", "One row a run, typed.", data.write_parquet, "application/vnd.apache.parquet"),
        Format("json", "Everything, for programs.", data.write_json, "application/json"),
        Format("zip", "All of these, every table, and the command to reproduce them.", archive.write,
               "application/zip"),
    )
}  # fmt: skip
