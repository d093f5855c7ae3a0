"""Where data lies: DQVIZ_DATA is read, never written; DQVIZ_HOME takes caches, downloads and uploads."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path


def home() -> Path:
    """DQVIZ_HOME, or the user's data folder of the platform."""
    given = os.environ.get("DQVIZ_HOME")
    return Path(given).expanduser().absolute() if given else user_data_path("dqviz")


def cache_dir() -> Path:
    return home() / "cache" / "data"


def uploads_dir() -> Path:
    return home() / "uploads"


def data_dir() -> Path | None:
    """The folder of data sets already on disk (DQVIZ_DATA), None when the variable is not set."""
    given = os.environ.get("DQVIZ_DATA")
    return Path(given).expanduser().absolute() if given else None
