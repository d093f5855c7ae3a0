"""Every format builds, holds the same numbers as the tables, and repeats."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_ledger import Made, make, study

from dqviz.errors import BadInput, Unavailable
from dqviz.report import FORMATS, SECTIONS, build, gather
from dqviz.report.blocks import Chart, Table
from dqviz.report.formats import html as page
from dqviz.report.formats import pdf
from dqviz.report.words import cells, heading
from dqviz.runs.presets import study_of
from dqviz.spec import RunSpec, Study

MOST_BYTES = 6_000_000


class Reader(HTMLParser):
    """Cells of every table, row by row, and the elements met."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("fmt", [name for name in FORMATS if name != "pdf"])
def test_every_format_builds_and_repeats(fmt: str, made: Made, tmp_path: Path) -> None:
    first = build(made.store, made.study_id, fmt, tmp_path / f"a.{fmt}").read_bytes()
    again = build(made.store, made.study_id, fmt, tmp_path / f"b.{fmt}").read_bytes()
    assert len(first) > 500
    assert first == again


@pytest.mark.parametrize("name", [name for name in SECTIONS if name not in ("one-site", "depth")])
def test_every_section_has_something_to_say(name: str, made: Made) -> None:
    (section,) = gather(made.store, made.study_id, [name]).sections
    assert section.blocks


def test_the_figures_of_degree_quant_are_there(made: Made) -> None:
    """Nodes by in-degree, growth at full precision, gradient error under both rules, ranges over epochs."""
    names = {table.name for table in made.report.tables()}
    wanted = {"degree-histogram-0", "aggregation-exponents", "gradients-own-0", "gradients-ste-0", "range-trace-0"}
    assert wanted <= names


def test_what_one_site_costs_is_told_where_runs_lower_one(made: Made, tmp_path: Path) -> None:
    assert gather(made.store, made.study_id, ["one-site"]).sections == ()
    widths = (8, {"default": 8, "message": 4})
    plain = {"dataset": "cora", "arch": "gcn", "method": "dq", "epochs": 2}
    runs = tuple(RunSpec(**plain, bits=bits, seed=seed) for bits in widths for seed in (0, 1))
    store, study_id = make(tmp_path, Study(name="one site", runs=runs))
    (section,) = gather(store, study_id, ["one-site"]).sections
    (chart,) = section.blocks
    assert isinstance(chart, Chart)
    assert chart.table["site"].tolist() == ["message"]
    assert chart.table["pairs"].tolist() == [2]


def test_depth_is_told_where_runs_differ_in_it(made: Made, tmp_path: Path) -> None:
    assert gather(made.store, made.study_id, ["depth"]).sections == ()
    plain = {"dataset": "cora", "arch": "gcn", "method": "dq", "epochs": 2}
    runs = tuple(RunSpec(**plain, arch_settings={"layers": depth}, seed=seed) for depth in (2, 4) for seed in (0, 1))
    store, study_id = make(tmp_path, Study(name="depth", runs=runs))
    (section,) = gather(store, study_id, ["depth"]).sections
    (chart,) = section.blocks
    assert isinstance(chart, Chart)
    assert chart.table["layers"].tolist() == [2, 4]
    assert chart.table["roughness"].tolist() == [0.25, 0.0625]


def test_html_is_one_small_file_that_loads_nothing(made: Made, tmp_path: Path) -> None:
    text = build(made.store, made.study_id, "html", tmp_path / "r.html").read_text()
    reader = Reader()
    reader.feed(re.sub(r"<script.*?</script>", "<script>", text, flags=re.DOTALL))
    assert len(text.encode()) < MOST_BYTES
    assert not {"link", "img", "iframe", "object", "embed"} & set(reader.tags)
    assert not re.search(r"\b(src|href)=[\"'](?!#)", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    assert "default-src 'none'" in html.unescape(text)


def test_html_over_its_budget_leaves_out_the_last_charts(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study of nine architectures and data sets has more charts than 6 MB hold; the sentences stay."""
    charts = list(page.charts(made.report))
    monkeypatch.setattr(page, "BUDGET_BYTES", len(page.rendered(made.report, {}, 40, 0).encode()) + 40_000)
    text = page.html(made.report)
    assert len(text.encode()) <= page.BUDGET_BYTES
    assert f'data-chart="{charts[0]}"' in text
    assert f'data-chart="{charts[-1]}"' not in text
    assert "Not drawn here, to keep this file under 6 MB" in text
    assert text.count("<figcaption>") == len(charts)


def test_html_tables_hold_the_numbers_of_the_tables(made: Made, tmp_path: Path) -> None:
    text = build(made.store, made.study_id, "html", tmp_path / "r.html").read_text()
    reader = Reader()
    reader.feed(re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    shown = [[" ".join(cell.split()) for cell in row] for row in reader.rows]
    for block in (block for section in made.report.sections for block in section.blocks):
        if isinstance(block, Table | Chart):
            frame = block.frame if isinstance(block, Table) else block.table
            expected = cells(frame.head(200 if isinstance(block, Table) else 60))
            at = shown.index([heading(name) for name in frame.columns])
            assert shown[at + 1 : at + 1 + len(expected)] == expected, block.name
            del shown[at]


def test_the_method_table_is_the_mean_over_seeds(made: Made) -> None:
    table = next(table for table in made.report.tables() if table.name == "methods")
    rows = [row.row() for row in made.store.runs(made.study_id) if row.state == "finished"]
    for method, bits in (("qat", 8), ("dq", 4)):
        values = [row["test_accuracy"] for row in rows if (row["method"], row["bits"]) == (method, bits)]
        line = table.frame[(table.frame["method"] == method) & (table.frame["bits"] == bits)]
        assert line["test_accuracy"].iloc[0] == pytest.approx(sum(values) / len(values), abs=1e-12)


def test_csv_and_parquet_hold_the_runs(made: Made, tmp_path: Path) -> None:
    from_csv = pd.read_csv(build(made.store, made.study_id, "csv", tmp_path / "r.csv"))
    from_parquet = pd.read_parquet(build(made.store, made.study_id, "parquet", tmp_path / "r.parquet"))
    rows = [row.row() for row in made.store.runs(made.study_id)]
    for frame in (from_csv, from_parquet):
        assert list(frame["run_id"]) == [row["run_id"] for row in rows]
        found = [None if value != value else value for value in frame["test_accuracy"]]
        assert found == [row["test_accuracy"] for row in rows]


def test_json_holds_no_bare_nan_and_every_table(made: Made, tmp_path: Path) -> None:
    text = build(made.store, made.study_id, "json", tmp_path / "r.json").read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    named = {block["name"] for section in document["sections"] for block in section["blocks"] if "name" in block}
    assert named == {table.name for table in made.report.tables()}
    assert len(document["rows"]) == len(made.store.runs(made.study_id))


def test_the_zip_starts_the_same_study_again(made: Made, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(build(made.store, made.study_id, "zip", tmp_path / "r.zip"))
    again = study_of(json.loads(archive.read("study.json")))
    assert [spec.digest for spec in again.runs] == [row.run_id for row in made.store.runs(made.study_id)]
    assert "python -m dqviz study start study.json --wait" in archive.read("README.txt").decode()
    for table in made.report.tables():
        frame = pd.read_parquet(io.BytesIO(archive.read(f"tables/{table.name}.parquet")))
        assert frame.shape == table.frame.shape


def test_unfinished_runs_are_listed_with_their_reason(made: Made) -> None:
    (table,) = (table for table in made.report.tables() if table.name == "unfinished")
    assert list(table.frame["error"]) == ["ValueError: no reason <b>at all</b>"]


def test_only_the_works_that_were_used_are_cited(made: Made) -> None:
    keys = set(re.findall(r"^@\w+\{([^,]+),", made.report.bibliography, re.MULTILINE))
    assert {"tailor2021", "kipf2017", "jacob2018", "sen2008collective", "fey2019"} <= keys
    assert not {"velickovic2018", "xu2019", "zachary1977"} & keys


def test_published_figures_stand_in_a_column_of_their_own(made: Made) -> None:
    (table,) = (table for table in made.report.tables() if table.name == "methods")
    assert "reported (unverified)" in set(table.frame["reported_mark"])
    assert table.frame.loc[table.frame["method"] == "fp32", "reported"].tolist() == pytest.approx([0.814])


def test_latex_and_markdown_hold_every_table(made: Made, tmp_path: Path) -> None:
    tex = build(made.store, made.study_id, "tex", tmp_path / "r.tex").read_text()
    md = build(made.store, made.study_id, "md", tmp_path / "r.md").read_text()
    filled = [table for table in made.report.tables() if not table.frame.empty]
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == len(filled)
    assert md.count("| ---") >= len(filled)


def test_a_study_without_a_finished_run_still_has_a_report(tmp_path: Path) -> None:
    runs = study()
    store, study_id = make(tmp_path, runs, fail=[spec.digest for spec in runs.runs])
    text = build(store, study_id, "html", tmp_path / "r.html").read_text()
    assert "0 finished" in text
    assert "no reason &lt;b&gt;at all&lt;/b&gt;" in text


@pytest.mark.parametrize(
    ("study_id", "fmt", "sections", "out", "words"),
    [
        ("nope", "html", None, "r.html", "choose one of"),
        (None, "docx", None, "r.docx", "html, json, md"),
        (None, "html", ["nope"], "r.html", "citations"),
        (None, "html", None, "absent/r.html", "folder that exists"),
        (None, "html", None, "", "folder that exists"),
    ],
)
def test_bad_input_is_one_sentence(
    study_id: str | None, fmt: str, sections: list[str] | None, out: str, words: str, made: Made, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=words):
        build(made.store, study_id or made.study_id, fmt, tmp_path / out, sections)


def test_without_a_browser_a_pdf_says_what_to_do(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))
    with pytest.raises(Unavailable, match="needs Chromium"):
        build(made.store, made.study_id, "pdf", tmp_path / "r.pdf")
    assert not (tmp_path / "r.pdf").exists()


@pytest.mark.browser
def test_pdf_is_printed(chromium: str, made: Made, tmp_path: Path) -> None:
    content = build(made.store, made.study_id, "pdf", tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
