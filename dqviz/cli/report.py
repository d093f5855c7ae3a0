"""`dqviz report`: one study as a file to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dqviz.cli.output import AsJson, emit


def report(
    study_id: Annotated[str, typer.Argument(metavar="ID", help="A study, or `demo`.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    form: Annotated[
        str | None, typer.Option("--format", help="html, pdf, md, tex, csv, parquet, json or zip; default: by --out.")
    ] = None,
    section: Annotated[list[str] | None, typer.Option(help="Only this section; repeat for more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Writes a report of a study: offline, with the numbers, the settings and the citations."""
    from dqviz.report import build
    from dqviz.runs.ledger import Ledger
    from dqviz.runs.store import Store

    chosen = form or out.suffix.lstrip(".").lower() or "html"
    path = build(Store(Ledger()), study_id, chosen, out, section)
    emit({"study_id": study_id, "format": chosen, "out": str(path), "size_bytes": path.stat().st_size}, as_json)
