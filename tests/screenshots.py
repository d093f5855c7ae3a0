"""`make screenshots`: every page on the demo study, light and dark, into assets/screenshots."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from dqviz.ui.nav import PAGES

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "assets" / "screenshots"
PORT = 8597
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


def main() -> None:
    """Starts an app in an empty home, photographs it and ends it."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"DQVIZ_HOME": home, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(PORT)]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            wait()
            with sync_playwright() as engine:
                browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
                for scheme in ("light", "dark"):
                    for page in PAGES:
                        photograph(browser, page.url, scheme, main=page is PAGES[0])
        finally:
            server.terminate()
            server.wait(30)


def wait() -> None:
    for _ in range(300):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=5):
            return
        time.sleep(0.2)
    raise SystemExit("the app did not start")


def photograph(browser: Browser, path: str, scheme: str, main: bool) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{PORT}/{'' if main else path}")
    page.wait_for_selector("h1", timeout=120_000)
    page.wait_for_selector(IDLE, timeout=120_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=TARGET / f"{path.replace('_', '-')}-{scheme}.png")
    context.close()


if __name__ == "__main__":
    main()
