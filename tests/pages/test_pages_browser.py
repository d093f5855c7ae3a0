"""A real server, a real worker and a real Chromium: all pages, narrow and wide, and a study from form to charts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dqviz.ui.nav import PAGES

playwright = pytest.importorskip("playwright.sync_api")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LIMIT_MS = 120_000  # generous: it only ends a test that hangs
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


@dataclass
class Site:
    """A running app: its address and what the browser complained about."""

    url: str
    home: Path
    complaints: list[str] = field(default_factory=list)

    def open(self, browser: object, path: str, width: int = 1280, scheme: str = "light") -> object:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[attr-defined]
        page = context.new_page()
        page.set_default_timeout(LIMIT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._outside)
        page.goto(f"{self.url}/{path}")
        settle(page)
        return page

    def _outside(self, request: object) -> None:
        """Nothing may be asked of another machine."""
        address = request.url  # type: ignore[attr-defined]
        if not address.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.complaints.append(f"request to {address}")


def settle(page: object) -> None:
    page.wait_for_selector("h1")  # type: ignore[attr-defined]
    page.wait_for_selector(IDLE)  # type: ignore[attr-defined]
    page.wait_for_timeout(500)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The app and a worker in an empty home, in sessions of their own; both are ended."""
    home = tmp_path_factory.mktemp("browser")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"DQVIZ_HOME": str(home), "PYTHONPATH": str(ROOT)}
    commands = ([sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)],
                [sys.executable, "-m", "dqviz", "worker"])  # fmt: skip
    with (home / "log.txt").open("wb") as log:
        started = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
                   for command in commands]  # fmt: skip
        try:
            wait_for_server(port)
            yield Site(f"http://127.0.0.1:{port}", home)
        finally:
            for process in started:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)


def wait_for_server(port: int) -> None:
    deadline = time.monotonic() + LIMIT_MS / 1000
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[object]:
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


def fits(page: object) -> bool:
    """No part of the page is wider than the screen."""
    script = "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth <= m.clientWidth }"
    return bool(page.evaluate(script))  # type: ignore[attr-defined]


def test_a_direct_link_works_on_a_server_that_has_just_started(site: Site, browser: object) -> None:
    page = site.open(browser, "train")
    assert page.title()  # type: ignore[attr-defined]
    assert page.locator("h1").inner_text() == "Train"  # type: ignore[attr-defined]
    assert page.get_by_role("link", name="Error by degree").count()  # type: ignore[attr-defined]


def test_a_study_from_the_form_to_its_charts(site: Site, browser: object) -> None:
    """Karate, five epochs: started in the form, watched, looked at."""
    page = site.open(browser, "train?dataset=karate")
    for label, value in (("Epochs", "5"), ("Seeds", "1")):
        number = page.get_by_label(label, exact=True)  # type: ignore[attr-defined]
        number.fill(value)
        number.press("Enter")
        settle(page)
    page.get_by_role("button", name="Start training").click()  # type: ignore[attr-defined]
    page.get_by_text("5 runs: 5 finished").wait_for(timeout=3 * LIMIT_MS)  # type: ignore[attr-defined]
    settle(page)
    assert page.locator(".js-plotly-plot").count() == 1  # type: ignore[attr-defined]
    page.get_by_test_id("stMain").get_by_role("link", name="Error by degree").click()  # type: ignore[attr-defined]
    page.wait_for_url("**/error_by_degree?*study=*")  # type: ignore[attr-defined]
    page.get_by_role("heading", name="Error by degree", level=1).wait_for()  # type: ignore[attr-defined]
    page.locator(".js-plotly-plot .main-svg").first.wait_for()  # type: ignore[attr-defined]


def test_a_page_without_what_it_shows_leads_to_the_table_of_its_runs(site: Site, browser: object) -> None:
    page = site.open(browser, "error_by_degree?study=lowbit-latency")
    page.get_by_text("has what this page shows").wait_for()  # type: ignore[attr-defined]
    assert "study=Below" in page.url, "asked for by its id, named in the link that one copies"  # type: ignore[attr-defined]
    page.get_by_role("link", name="Compare its runs").click()  # type: ignore[attr-defined]
    page.get_by_role("heading", name="Compare", level=1).wait_for()  # type: ignore[attr-defined]
    page.locator("[data-testid=stDataFrame]").wait_for()  # type: ignore[attr-defined]
    settle(page)
    assert "study=Below" in page.url  # type: ignore[attr-defined]
    page.get_by_role("link", name="Latency").click()  # type: ignore[attr-defined]
    page.get_by_role("heading", name="Latency", level=1).wait_for()  # type: ignore[attr-defined]
    settle(page)
    assert "study=Below" in page.url, "the sidebar keeps the study"  # type: ignore[attr-defined]
    page.context.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("link", "title", "kept"),
    [
        ("Start a study", "Train", ""),
        ("Error by degree", "Error by degree", "study=Degree-Quant+table%2C+Cora"),
        ("Compare", "Compare", "study=Degree-Quant+table%2C+Cora"),
        ("Report", "Report", "studies=Degree-Quant+table%2C+Cora"),
    ],
)
def test_the_overview_leads_on_with_its_study(site: Site, browser: object, link: str, title: str, kept: str) -> None:
    page = site.open(browser, "?study=dq-cora")
    page.get_by_test_id("stMain").get_by_role("link", name=link).click()  # type: ignore[attr-defined]
    page.get_by_role("heading", name=title, level=1).wait_for()  # type: ignore[attr-defined]
    settle(page)
    assert kept in page.url  # type: ignore[attr-defined]
    assert not page.locator("[data-testid=stException]").count()  # type: ignore[attr-defined]
    page.context.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_all_pages_fit_and_complain_of_nothing(site: Site, browser: object, width: int, scheme: str) -> None:
    for entry in PAGES:
        page = site.open(browser, entry.url, width, scheme)
        assert page.locator("h1").inner_text() == entry.title  # type: ignore[attr-defined]
        assert not page.locator("[data-testid=stException]").count(), entry.url  # type: ignore[attr-defined]
        assert not page.locator("[data-testid=stAlert]").count(), entry.url  # type: ignore[attr-defined]
        assert fits(page), f"{entry.url} is wider than {width}"
        page.context.close()  # type: ignore[attr-defined]
    assert site.complaints == []


def test_a_copied_link_shows_the_same_picture(site: Site, browser: object) -> None:
    page = site.open(browser, "error_by_degree")
    page.get_by_text("Local", exact=True).click()  # type: ignore[attr-defined]
    page.wait_for_url("**kind=Local**")  # type: ignore[attr-defined]
    settle(page)
    sentence = "[data-testid=stMarkdownContainer] p"
    other = site.open(browser, page.url.removeprefix(site.url).lstrip("/"))  # type: ignore[attr-defined]

    def told(by: object) -> list[str]:
        return by.locator(sentence).all_inner_texts()  # type: ignore[attr-defined,no-any-return]

    deadline = time.monotonic() + 30  # the first page may still be drawing what the click asked for
    while told(other) != told(page) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert told(other) == told(page)
