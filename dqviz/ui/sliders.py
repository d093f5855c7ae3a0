"""Sliders of the Protection page; their values live in the URL like every other choice."""

from __future__ import annotations

import streamlit as st

FIRST = {"p_min": 0.0, "p_max": 0.2}  # the authors' largest published p_max (METHODS.md 1.6)


def choose_probabilities() -> tuple[float, float]:
    """(p_min, p_max). The lower one is capped at the upper one, and the page says so."""
    low, high = (_slider(name) for name in FIRST)
    if low > high:
        st.caption(":material/info: p_min is above p_max; p_max is used for both.")
    return min(low, high), high


def _slider(name: str) -> float:
    return float(st.slider(name, 0.0, 1.0, FIRST[name], 0.01, key=name, bind="query-params"))


def choose_sample_seed() -> int:
    """Which draw of the mask is shown; the button draws another."""
    if st.button("Draw another mask", icon=":material/casino:"):
        st.session_state["mask-seed"] = st.session_state.get("mask-seed", 0) + 1
    return int(st.session_state.get("mask-seed", 0))
