"""Widgets whose choice lives in the URL: a copied link shows the same picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, TypeVar

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner import get_script_run_ctx

T = TypeVar("T")
Width = int | Literal["stretch"]


def pick(
    label: str, key: str, options: Mapping[str, T], fallback: str = "", help: str | None = None, width: Width = 220
) -> T:
    """A drop-down of one. `options` maps what a person reads (and the URL holds) to its value; not empty."""
    _seed_one(key, options, fallback)
    with st.container(gap="xxsmall", width=width):
        st.caption(label, help=help)  # the widget's own label would add "(required)"
        st.selectbox(label, list(options), index=None, required=True, key=key, bind="query-params",
                     label_visibility="collapsed")  # fmt: skip
    return options[st.session_state[key]]


def pick_short(
    label: str,
    key: str,
    options: Mapping[str, T],
    fallback: str = "",
    label_visibility: Literal["visible", "collapsed"] = "visible",
) -> T:
    """The same for two to four choices: all of them visible."""
    _seed_one(key, options, fallback)
    with st.container(gap="xxsmall", width="content"):
        if label_visibility == "visible":
            st.caption(label)
        st.segmented_control(label, list(options), key=key, bind="query-params", required=True,
                             label_visibility="collapsed")  # fmt: skip
    return options[st.session_state[key]]


def pick_many(
    label: str, key: str, options: Mapping[str, T], fallback: Sequence[str], help: str | None = None
) -> list[T]:
    """Any number of the options, in their order."""
    st.session_state[key] = _current(key, options, fallback)
    with st.container(gap="xxsmall", width="stretch"):
        st.caption(label, help=help)
        st.multiselect(label, list(options), key=key, bind="query-params", label_visibility="collapsed", wrap=True)
    st.session_state[f"last-{key}"] = st.session_state[key]
    return [value for name, value in options.items() if name in st.session_state[key]]


def _seed_one(key: str, options: Iterable[str], fallback: str) -> None:
    names = list(options)
    st.session_state[key] = _current(key, names, [fallback if fallback in names else names[0]])[0]


def _current(key: str, options: Iterable[str], fallback: Sequence[str]) -> list[str]:
    """What the widget shows now, else the URL, else the choice made on another page, else `fallback`; kept in the URL.

    The widgets have no default of their own, because Streamlit leaves a value equal to the default out of the URL, and
    a copied link would then show whatever the default is on the day it is opened.
    """
    shown = st.session_state.get(key)
    sources: list[Iterable[str]] = [
        [shown] if isinstance(shown, str) else shown or (),
        st.query_params.get_all(key),
        st.session_state.get(f"last-{key}", ()),
        fallback,
    ]
    names = list(options)
    if shown == []:
        return []  # a person took everything out; an unknown choice (another study) falls through instead
    chosen = next((kept for source in sources if (kept := [one for one in source if one in names])), [])
    if st.query_params.get_all(key) != chosen:
        with suppress(StreamlitAPIException):  # bound: Streamlit writes it, from the widget's second run on
            readdress(key, chosen)
    st.session_state[f"last-{key}"] = chosen
    return chosen


def readdress(key: str, values: str | list[str]) -> None:
    """Writes to the URL before the widget `key` is shown.

    Streamlit remembers the URL as it was first asked for, and takes out of it what is not an option of the widget:
    with it would go what is written here.
    """
    st.query_params[key] = values
    context = get_script_run_ctx()
    if context is not None:
        with context.session_state.query_params() as params:
            params.set_initial_query_params_from_current()
