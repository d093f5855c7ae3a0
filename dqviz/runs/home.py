"""Where dqviz keeps what it makes: never in the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path


def home() -> Path:
    """DQVIZ_HOME, or the user's data folder of this system; made when absent."""
    chosen = os.environ.get("DQVIZ_HOME")
    return _made(Path(chosen).expanduser().absolute() if chosen else user_data_path("dqviz"))


def database_url() -> str:
    """DQVIZ_DATABASE (a SQLAlchemy URL), or SQLite in the home folder."""
    return os.environ.get("DQVIZ_DATABASE") or f"sqlite:///{home() / 'ledger.db'}"


def runs_dir() -> Path:
    return _made(home() / "runs")


def cache_dir() -> Path:
    return _made(home() / "cache")


def uploads_dir() -> Path:
    return _made(home() / "uploads")


def package_dir() -> Path:
    """The folder of the dqviz package."""
    return Path(__file__).resolve().parents[1]


def assets_dir() -> Path:
    """The assets shipped beside the package (logo, demo study)."""
    return package_dir().parent / "assets"


def shipped_facts(dataset: str) -> Path | None:
    """The facts of a data set that come with dqviz, by its name, which is never a path; None where there are none."""
    known = {path.stem: path for path in (assets_dir() / "facts").glob("*.json")}
    return known.get(dataset)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
