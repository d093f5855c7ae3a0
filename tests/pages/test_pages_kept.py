"""A kept study is all there is: every page and tab runs, and Compare shows the study as it was trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages_smoke import TABS, opened

from dqviz.runs import kept, store
from dqviz.runs.ledger import Ledger
from dqviz.runs.store import Store
from dqviz.ui.nav import PAGES, Entry

SHOWN = [entry for entry in PAGES if entry.url not in ("train", "latency")]
FILLED = {entry.url for entry in SHOWN} - {"protection", "report"}
"""Pages that draw from what a kept study holds."""


@pytest.fixture
def shipped(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Assets with one kept study and nothing else, on a machine that has trained nothing."""
    own = Store(Ledger(), demo=tmp_path / "nothing" / "demo")
    (trained,) = own.studies()
    assets = tmp_path / "assets"
    kept.pack(own, "A kept study", own.runs(trained.study_id), assets / "studies" / "table")
    new = tmp_path / "new"
    shutil.copytree(filled / "cache", new / "cache")
    monkeypatch.setenv("DQVIZ_HOME", str(new))
    monkeypatch.setattr(store, "assets_dir", lambda: assets)
    st.cache_data.clear()
    st.cache_resource.clear()
    return assets


def checked(entry: Entry, **query: str) -> AppTest:
    app = opened(entry, **query)
    assert not app.exception
    assert not app.error
    return app


@pytest.mark.parametrize("entry", SHOWN, ids=[entry.url for entry in SHOWN])
def test_every_page_of_a_kept_study_runs(entry: Entry, shipped: Path) -> None:
    app = checked(entry)
    if entry.url in FILLED:
        assert app.get("plotly_chart"), "no chart"
    for tab in TABS.get(entry.url, ()):
        checked(entry, tab=tab)


def test_the_table_of_a_kept_study_is_that_of_its_runs(shipped: Path) -> None:
    compare = next(entry for entry in PAGES if entry.url == "compare")
    app = checked(compare)
    assert "A kept study" in app.get("selectbox")[0].options
    seeds = app.dataframe[0].value["seeds"]
    assert sum(seeds) == len(Store(Ledger()).runs("table"))


@pytest.mark.parametrize(("url", "tab"), [("ranges", "By degree"), ("error_by_degree", "Worst nodes")])
def test_what_kept_studies_leave_out_is_said(url: str, tab: str, shipped: Path) -> None:
    app = checked(next(entry for entry in PAGES if entry.url == url), tab=tab)
    assert any("kept studies leave it out" in text.value for text in app.markdown)
