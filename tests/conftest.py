"""What every test shares: one thread, a home of its own, the data folder beside the checkout, a Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Set before torch, numpy or dqviz are imported: they read these once.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
if DATA.is_dir() and not os.environ.get("DQVIZ_DATA"):
    os.environ["DQVIZ_DATA"] = str(DATA)
os.environ.pop("DQVIZ_DATABASE", None)
os.environ["DQVIZ_HOME"] = tempfile.mkdtemp(prefix="dqviz-tests-")


def pytest_sessionfinish() -> None:
    shutil.rmtree(os.environ["DQVIZ_HOME"], ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DQVIZ_HOME for one test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("DQVIZ_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Without one the test is skipped, and says so; with DQVIZ_REQUIRE_BROWSER it fails."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        message = "no Chromium here: install it (Debian: apt-get install chromium) to run the browser tests"
        if os.environ.get("DQVIZ_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    return found
