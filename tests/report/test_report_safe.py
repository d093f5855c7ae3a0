"""Names are data: nothing in a name becomes markup, a formula or code, in any format."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_names import HOSTILE

from dqviz.report.formats.data import csv as csv_of
from dqviz.report.safe import for_csv, for_figure, for_latex, for_markdown, for_script, readable


def test_there_are_forty_hostile_names() -> None:
    assert len(set(HOSTILE)) == 40


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_neutralised_and_numbers_untouched(start: str) -> None:
    frame = pd.DataFrame({"name": [f"{start}1+1", "plain"], f"{start}head": [-1.5, 2.0], "n": [-3, 4]})
    rows = list(csv.reader(io.StringIO(csv_of(frame), newline="")))
    assert rows[0] == ["name", f"'{start}head", "n"]
    assert rows[1] == [f"'{start}1+1", "-1.5", "-3"]
    assert rows[2] == ["plain", "2.0", "4"]


def test_a_return_inside_a_name_starts_no_row() -> None:
    text = csv_of(pd.DataFrame({"name": ["x\r=1+1", "y\n=1+1"]}))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["name"], ["x\r=1+1"], ["y\n=1+1"]]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_csv_to_the_bit(number: float) -> None:
    read = pd.read_csv(io.StringIO(csv_of(pd.DataFrame({"x": [number]}))))
    assert read["x"].iloc[0] == number


@given(st.text())
def test_no_text_cell_starts_a_formula(text: str) -> None:
    assert not str(for_csv(text)).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.text())
def test_a_script_element_cannot_be_ended_from_inside(text: str) -> None:
    written = for_script({"name": text})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"name": text}


@given(st.text())
def test_figures_hold_no_tag_but_line_breaks(text: str) -> None:
    shown = for_figure({"text": [text], text: text})["text"][0]
    for own in ("<br>", "<br/>", "<extra></extra>"):
        shown = shown.replace(own, "")
    assert "<" not in shown
    assert ">" not in shown


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_latex_holds_no_command_of_a_name(text: str) -> None:
    shown = for_latex(text)
    for code in (r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", r"\textless{}", r"\textgreater{}",
                 r"\textbar{}", r"\textquotedbl{}", r"\{", r"\}", r"\$", r"\&", r"\#", r"\%", r"\_"):  # fmt: skip
        shown = shown.replace(code, "")
    assert not set("\\{}$&#%_^~<>|\n") & set(shown)


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_holds_no_html_and_no_cell_border(name: str) -> None:
    shown = for_markdown(name)
    assert "<" not in shown
    assert "://" not in shown
    assert "|" not in shown.replace("\\|", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_readable_text_turns_no_direction_and_rings_no_bell(name: str) -> None:
    assert not set(readable(name)) & set("\x00\x07\x1b\u202e\u2066\u2069")


def test_a_zip_holds_no_path_out_of_itself(tmp_path: Path) -> None:
    from report_ledger import make, study

    from dqviz.report import build

    runs = study("../../x", dataset="../../x", arch="C:\\x", method="\x00/etc/passwd")
    store, study_id = make(tmp_path, runs)
    names = zipfile.ZipFile(build(store, study_id, "zip", tmp_path / "out.zip")).namelist()
    assert names
    assert not [name for name in names if ".." in name or name.startswith("/") or "\\" in name or ":" in name]
