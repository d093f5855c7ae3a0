"""The report in a real browser: charts are drawn, nothing loads, no name becomes an element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from report_ledger import Made, make
from report_names import HOSTILE

from dqviz.report import build
from dqviz.spec import RunSpec, Study

pytestmark = pytest.mark.browser
A_PAGE = 10
# A line break in a chart is a tspan of class "line"; any other tspan would be markup of a name.
COUNT = """() => [...document.querySelectorAll('*')].map((one) => one.namespaceURI.split('/').pop() + ' ' +
one.tagName.toLowerCase() + (one.tagName === 'tspan' && one.classList.contains('line') ? ' line' : ''))"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


class Seen:
    """What a page did: dialogs, requests beyond its own file, errors."""

    def __init__(self, page: Page, file: Path) -> None:
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.goto(file.as_uri())
        page.wait_for_function("() => window.Plotly !== undefined")
        self.charts = page.locator("[data-chart]").count()
        page.wait_for_function(
            "() => [...document.querySelectorAll('[data-chart]')].every((one) => one.querySelector('svg.main-svg'))"
        )
        self.own = file.as_uri()

    @property
    def foreign(self) -> list[str]:
        return [url for url in self.requests if url != self.own and not url.startswith(("data:", "blob:"))]


def named(names: tuple[str, ...]) -> Study:
    """One run a name; the name stands in every field that takes one."""
    runs = [
        RunSpec(dataset=name, arch=name, method=name, bits=8, epochs=3, dataset_settings={name: name},
                arch_settings={name: name}, method_settings={name: name})
        for name in names
    ]  # fmt: skip
    return Study(name=names[0], runs=tuple(runs))


def opened(
    browser: Browser, names: tuple[str, ...], folder: Path, sections: tuple[str, ...] | None
) -> tuple[Seen, Counter[str]]:
    folder.mkdir()
    store, study_id = make(folder, named(names), fail=[named(names).runs[-1].digest])
    page = browser.new_page()
    page.set_default_timeout(240_000)
    seen = Seen(page, build(store, study_id, "html", folder / "report.html", sections))
    tags: Counter[str] = Counter(page.evaluate(COUNT))
    page.close()
    return seen, tags


def test_every_chart_is_drawn_and_nothing_is_refused(browser: Browser, made: Made, tmp_path: Path) -> None:
    page = browser.new_page()
    seen = Seen(page, build(made.store, made.study_id, "html", tmp_path / "report.html"))
    assert seen.charts >= 5
    assert (seen.dialogs, seen.foreign, seen.errors) == ([], [], [])
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 28)"
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= 390")
    page.close()


FEW = ("methods", "degree", "unfinished", "protocol", "environment", "citations")
"""Each chart takes a browser a quarter of a second: all forty names in these, every section with five of them."""


@pytest.mark.parametrize(
    ("pages", "sections"),
    [([HOSTILE[at : at + A_PAGE] for at in range(0, len(HOSTILE), A_PAGE)], FEW), ([HOSTILE[1:40:9]], None)],
    ids=["every name", "every section"],
)
def test_hostile_names_are_inert(
    pages: list[tuple[str, ...]], sections: tuple[str, ...] | None, browser: Browser, tmp_path: Path
) -> None:
    """0 dialogs, 0 requests, 0 new elements: HTML elements are those of a report with plain names, one for one."""
    plain = tuple(f"name{at}" for at in range(len(pages[0])))
    _, usual = opened(browser, plain, tmp_path / "plain", sections)
    for at, names in enumerate(pages):
        seen, tags = opened(browser, names, tmp_path / f"hostile{at}", sections)
        assert (seen.dialogs, seen.foreign, seen.errors) == ([], [], [])
        html = {tag: count for tag, count in tags.items() if tag.startswith("xhtml ")}
        assert html == {tag: count for tag, count in usual.items() if tag.startswith("xhtml ")}
        assert set(tags) - {"svg tspan line"} <= set(usual)


def test_a_page_without_escaping_would_be_caught(browser: Browser, tmp_path: Path) -> None:
    """The harness sees what it is there to see."""
    file = tmp_path / "open.html"
    file.write_text("<p><img src='https://example.invalid/x' onerror='alert(1)'></p><script>window.Plotly = 1</script>")
    page = browser.new_page()
    seen = Seen(page, file)
    page.wait_for_timeout(500)
    assert seen.dialogs == ["1"]
    assert seen.foreign
    page.close()
