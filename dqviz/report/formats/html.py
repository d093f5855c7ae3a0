"""HTML: one file, no network, nothing from a study can run or load anything.

Three walls: jinja2 escapes every text; figures and their JSON are escaped on their own (`safe`); and a content security
policy lets only this file's own scripts run, known by their hashes, and forbids every connection.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dqviz.plots.style import template
from dqviz.report.blocks import Chart, Report
from dqviz.report.safe import csp_hash, for_figure, for_script, readable
from dqviz.report.words import cells, heading, is_number

BUDGET_BYTES = 5_900_000
# A browser stays quick and the file small; the zip has every row. Behind a chart the numbers are shown as far as the
# budget allows: plotly alone takes 4.8 MB, a study of one architecture about 0.2 MB more. What is still too much after
# the last step loses charts, from the end. Rows of a table, rows behind a chart:
MOST_ROWS = ((200, 60), (200, 12), (200, 0), (40, 0))


def write(report: Report, out: Path) -> None:
    out.write_text(html(report), encoding="utf-8")


def html(report: Report) -> str:
    """The report as one HTML document, of the longest tables and the most charts that keep it under 6 MB."""
    drawn, over = charts(report), 0
    for most, most_behind in MOST_ROWS:
        text = rendered(report, drawn, most, most_behind)
        over = len(text.encode()) - BUDGET_BYTES
        if over <= 0:
            return text
    return rendered(report, lighter(drawn, over), *MOST_ROWS[-1])


def lighter(drawn: dict[str, Any], over: int) -> dict[str, Any]:
    """Without as many of the last charts as take `over` bytes."""
    left = dict(drawn)
    while over > 0 and left:
        name, figure = left.popitem()
        over -= len(for_script({name: figure}))
    return left


def rendered(report: Report, drawn: dict[str, Any], most: int, most_behind: int) -> str:
    plotly_js, draw = plotly.offline.get_plotlyjs(), source("draw.js")
    return environment().get_template("report.html").render(
        report=report, csp=policy(plotly_js, draw), css=Markup(source("report.css")), plotly=Markup(plotly_js),
        draw=Markup(draw), charts=Markup(for_script({"templates": templates(), "charts": drawn})), drawn=drawn,
        kind_of=kind_of, readable=readable, table=table, most=most, most_behind=most_behind,
    )  # fmt: skip


def policy(*scripts: str) -> str:
    """Nothing loads; styles may be inline because plotly writes them, images are data because it exports PNG."""
    hashes = " ".join(csp_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def charts(report: Report) -> dict[str, Any]:
    """Figures by name."""
    found = {b.name: b for section in report.sections for b in section.blocks if isinstance(b, Chart)}
    return {name: without_template(for_figure(chart.figure)) for name, chart in found.items()}


def templates() -> dict[str, Any]:
    """The two themes, once and not in each figure."""
    return {theme: for_figure(template(theme)) for theme in ("light", "dark")}


def without_template(figure: dict[str, Any]) -> dict[str, Any]:
    layout = {key: value for key, value in figure.get("layout", {}).items() if key != "template"}
    return {"data": figure.get("data", []), "layout": layout}


def table(frame: pd.DataFrame, most: int) -> Markup:
    """A table element; cells are escaped by the template."""
    text = environment().get_template("table.html").render(
        columns=[(readable(heading(name)), is_number(frame[name])) for name in frame.columns],
        rows=[[readable(text) for text in row] for row in cells(frame.head(most))],
        cut=len(frame) > most, total=len(frame),
    )  # fmt: skip
    return Markup(text)


def kind_of(block: object) -> str:
    return type(block).__name__.lower()


@lru_cache(maxsize=1)
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("dqviz.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


@lru_cache(maxsize=4)
def source(name: str) -> str:
    """One of our own files beside the templates."""
    return (Path(__file__).parents[1] / "templates" / name).read_text(encoding="utf-8")
