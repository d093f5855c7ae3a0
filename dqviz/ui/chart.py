"""A chart as all pages show it: figure, its sentence, the words it uses, the same numbers as a table and as CSV."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd
import streamlit as st

from dqviz.ui.glossary import show_terms
from dqviz.ui.names import plain
from dqviz.ui.table import show_table


class Info(Protocol):
    """What an analysis hands to its chart (see dqviz.analysis)."""

    @property
    def sentence(self) -> str: ...
    @property
    def alt(self) -> str: ...
    @property
    def table(self) -> pd.DataFrame: ...


def show(
    figure: Any, info: Info, key: str, terms: tuple[str, ...] = (), height: int | None = None, tabled: bool = True
) -> None:
    """Draws `figure` with what `info` says about it. `key` names the chart within the page and its files.

    `tabled` False: the page shows the same numbers as a table of its own.
    """
    st.plotly_chart(figure, key=f"chart-{key}", alt=info.alt, config=_menu(key), height=height or "content")
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(plain(info.sentence), width="content")
            if terms:
                show_terms(*terms)
        if tabled:
            _table(info, key)


def _table(info: Info, key: str) -> None:
    """The same numbers; only made when opened."""
    with st.expander("Table", icon=":material/table:", key=f"table-{key}", on_change="rerun", type="compact") as opened:
        if opened.open:
            show_table(info.table, key)
            _choose_picture(key)


def _choose_picture(key: str) -> None:
    now = st.session_state.get("picture", "png")
    st.segmented_control("Pictures from a chart's menu", ["png", "svg"], default=now, required=True,
                         key=f"picture-{key}", on_change=_keep_format, args=(key,))  # fmt: skip


def _keep_format(key: str) -> None:
    st.session_state["picture"] = st.session_state[f"picture-{key}"]


def _menu(key: str) -> dict[str, Any]:
    """The chart's own menu saves a picture; the format is the one chosen below any chart's table."""
    return {
        "displaylogo": False,
        "toImageButtonOptions": {"format": st.session_state.get("picture", "png"), "filename": f"dqviz-{key}"},
    }
