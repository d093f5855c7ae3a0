"""Report: choose studies and sections, look at the report, take it along."""

from __future__ import annotations

from pathlib import Path

from dqviz import report, ui


def build(study_id: str, fmt: str, path: Path) -> Path:
    return report.build(ui.store(), study_id, fmt, path, sections or None)


def preview() -> None:
    ui.show_preview(build, studies, sections)


def export() -> None:
    for name, form in report.FORMATS.items():
        ui.show_download(build, studies, name, form.summary, form.mime, form.missing())


with ui.page("report"):
    studies = ui.choose_studies()
    sections = ui.choose_sections({name: maker.title for name, maker in report.SECTIONS.items()})
    ui.show_figures(ui.report_figures(studies, sections))
    ui.show_tabs({"Export": export, "Preview": preview})
