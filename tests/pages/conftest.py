"""A ledger with finished runs at the default place, and a router to run pages through."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "report"))  # the made-up study of the report's tests serves here too


@pytest.fixture(scope="session")
def catalogue_files() -> list[Path]:
    """The catalogue of the code as it is, made once for all tests (it takes a torch import)."""
    from dqviz.runs.catalogue import catalogue
    from dqviz.runs.home import cache_dir

    catalogue()
    return list(cache_dir().glob("catalog-*.json"))


@pytest.fixture
def fresh(catalogue_files: list[Path], home: Path) -> Iterator[Path]:
    """A home without studies, and nothing left of another test in Streamlit's caches."""
    (home / "cache").mkdir(parents=True)
    for path in catalogue_files:
        shutil.copy(path, home / "cache")
    clear()
    yield home
    clear()


@pytest.fixture
def filled(fresh: Path) -> Path:
    """A home with one study: nine finished runs, one that failed, one timing."""
    from report_ledger import make, study

    runs = study()
    make(fresh, runs, fail=[runs.runs[0].digest])
    return fresh


def clear() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()
