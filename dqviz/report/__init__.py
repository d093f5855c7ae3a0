"""Reports: what a study found, as one file to hand on. `build` is the door."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dqviz.errors import BadInput, unknown
from dqviz.report.bibliography import used
from dqviz.report.blocks import Report
from dqviz.report.command import command, study_json
from dqviz.report.formats import FORMATS
from dqviz.report.sections import SECTIONS
from dqviz.report.source import Source
from dqviz.runs.store import Store

__all__ = ["FORMATS", "SECTIONS", "build", "gather"]


def build(store: Store, study_id: str, fmt: str, out: Path | str, sections: Sequence[str] | None = None) -> Path:
    """Writes the report of a study to `out` and returns its path.

    Raises BadInput for an unknown study, format or section (it lists the choices) or a folder that does not exist, and
    Unavailable for a PDF without a Chromium.
    """
    if fmt not in FORMATS:
        raise unknown("format", fmt, FORMATS)
    path = Path(out)
    if not path.parent.is_dir() or path.is_dir():
        raise BadInput(f"The report cannot be written to {str(path)!r}: name a file in a folder that exists.")
    FORMATS[fmt].write(gather(store, study_id, sections), path)
    return path


def gather(store: Store, study_id: str, sections: Sequence[str] | None = None) -> Report:
    """Everything a format needs, with the chosen sections in their own order; empty ones are left out."""
    for name in sections or ():
        if name not in SECTIONS:
            raise unknown("section", name, SECTIONS)
    source = Source.of(store, study_id)
    made = [maker.section(source) for name, maker in SECTIONS.items() if not sections or name in sections]
    return Report(
        study_id=study_id, title=source.study.name, subtitle=subtitle(source),
        sections=tuple(section for section in made if section.blocks), command=command(source),
        study_json=study_json(source), bibliography="\n\n".join(used(source).values()) + "\n",
        rows=tuple(run.row() for run in source.runs),
    )  # fmt: skip


def subtitle(source: Source) -> str:
    """'30 runs on cora, 30 finished.'"""
    datasets = ", ".join(dict.fromkeys(run.dataset for run in source.runs))
    return f"{len(source.runs)} runs on {datasets}, {len(source.finished)} finished."
