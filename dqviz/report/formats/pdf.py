"""PDF: the HTML report printed by an installed Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from dqviz.errors import Unavailable
from dqviz.report.blocks import Report
from dqviz.report.formats import html

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 120


def write(report: Report, out: Path) -> None:
    """Raises Unavailable, naming what to install, without a browser or when it prints nothing."""
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="dqviz-pdf-") as folder:
        page, printed = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html.html(report), encoding="utf-8")
        print_page(browser, page, printed)
        shutil.copyfile(printed, out)


def missing() -> str:
    """Why no PDF can be made here, in one sentence; '' where it can."""
    try:
        find_browser()
    except Unavailable as reason:
        return str(reason)
    return ""


def find_browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise Unavailable(
            "A PDF needs Chromium, which is not installed (Debian: apt-get install chromium); or choose the format html"
            " and print it from any browser."
        )
    return found


def print_page(browser: str, page: Path, printed: Path) -> None:
    """The virtual time budget lets the charts draw before the page is printed."""
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=15000", "--no-pdf-header-footer",
        f"--print-to-pdf={printed}", page.as_uri(),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Chromium did not print the report within {TIMEOUT_S} s; choose the format html.") from error
    if done.returncode or not printed.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"Chromium could not print the report ({last}); choose the format html.")
