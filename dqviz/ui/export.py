"""Choices of the Report page, its preview, and a download that is made only when it is pressed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from dqviz.errors import DqvizError
from dqviz.runs.rows import StudyRow
from dqviz.ui import pick
from dqviz.ui.page import Nothing
from dqviz.ui.select import labelled
from dqviz.ui.store import studies

Build = Callable[[str, str, Path], object]  # study_id, format, where to


def choose_studies() -> list[StudyRow]:
    """One study or several; each becomes a file."""
    rows = {label: row for label, row in labelled(studies()).items() if row.finished}
    if not rows:
        raise Nothing("No study has a finished run yet, so there is nothing to report.")
    elsewhere = [name for name in st.session_state.get("last-study", ()) if name in rows]  # on another page
    chosen = pick.pick_many("Studies", "studies", rows, elsewhere or list(rows)[:1])
    if not chosen:
        raise Nothing("Choose at least one study above.", url="")
    return chosen


def choose_sections(titles: Mapping[str, str]) -> list[str]:
    """Names of the sections that shall be in the report."""
    options = {title: name for name, title in titles.items()}
    return pick.pick_many("Sections", "sections", options, list(options))


def show_download(
    build: Build, chosen: Sequence[StudyRow], fmt: str, summary: str, mime: str, missing: str = ""
) -> None:
    """One button a format. `missing`: why it cannot be made here; the button is then there, but dead."""
    several = len(chosen) > 1 and fmt != "zip"
    name = f"dqviz-{chosen[0].study_id}.{fmt}" if len(chosen) == 1 else f"dqviz-{len(chosen)}-studies-{fmt}.zip"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(fmt.upper(), data=lambda: made(build, chosen, fmt), file_name=name, key=f"download-{fmt}",
                           mime="application/zip" if several else mime, on_click="ignore",
                           icon=":material/download:", width=110, disabled=bool(missing))  # fmt: skip
        st.markdown(f":gray[{missing or summary}]", width="stretch")


def made(build: Build, chosen: Sequence[StudyRow], fmt: str) -> bytes:
    """The file of one study, or a zip with one file a study."""
    with TemporaryDirectory(prefix="dqviz-report-") as folder:
        paths = [Path(folder) / f"dqviz-{row.study_id}.{fmt}" for row in chosen]
        for row, path in zip(chosen, paths, strict=True):
            build(row.study_id, fmt, path)
        return paths[0].read_bytes() if len(paths) == 1 else _zipped(paths)


def _zipped(paths: Sequence[Path]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return packed.getvalue()


def show_preview(build: Build, chosen: Sequence[StudyRow], sections: Sequence[str]) -> None:
    """The HTML report of the first study itself, inside the page (it is inert: autoescaped, with a strict CSP)."""
    try:
        with st.spinner("Building the report"):
            html = _html(chosen[0].study_id, repr(chosen[0]), tuple(sections), lambda: made(build, chosen[:1], "html"))
    except DqvizError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.iframe(html, height=900)


@st.cache_data(max_entries=4, show_spinner=False)
def _html(study_id: str, state: str, sections: tuple[str, ...], _make: Callable[[], bytes]) -> str:  # noqa: ARG001
    """Kept while the study is in the same state (a report of sixteen runs takes seconds to build)."""
    return _make().decode()
