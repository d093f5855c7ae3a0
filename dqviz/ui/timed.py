"""What a finished timing says besides its bars: exactness, where it was taken, why INT8 is slower where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dqviz.ui import pick
from dqviz.ui.names import plain

NATIVE = "native"


def show_exactness(found: pd.DataFrame) -> None:
    """Whether the integer kernels gave the reference's bits, where that was checked."""
    checked = [bool(value) for value in found["exact"].dropna()] if len(found) else []
    if not checked:
        st.badge("exactness not checked", icon=":material/help:", color="gray")
    elif all(checked):
        st.badge("integer kernels equal the reference to the bit", icon=":material/verified:", color="green")
    else:
        st.badge("an integer kernel differs from the reference", icon=":material/error:", color="red")


def show_paragraph(text: str) -> None:
    """Words made from rows, which may hold the name of an upload."""
    if text:
        st.markdown(plain(text))


def show_origin(found: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Threads, repetitions and processor; which integer kernels ran; what was left out and why."""
    parts = [f"{value} {word}{'s' * (value != 1)}" for value, word in counts(found)]
    parts += [str(about["cpu"])] if about.get("cpu") else []
    parts.append(kernels_of(found, str(about.get(NATIVE) or ""), str(about.get("instructions") or "")))
    parts += [str(note).rstrip(".") for note in about.get("notes", ())]
    st.caption(plain("; ".join(filter(None, parts)) + "."))


def counts(found: pd.DataFrame) -> Sequence[tuple[int, str]]:
    return (int(found["threads"].max()), "thread"), (int(found["repeats"].max()), "repetition")


def kernels_of(found: pd.DataFrame, missing: str, instructions: str = "") -> str:
    """The backends of the integer rows, the instructions of the native ones or the reason why there are none."""
    used = {NATIVE: f"{NATIVE} ({instructions})"} if instructions else {}
    ran = [used.get(name, name) for name in sorted(set(found.loc[found["precision"] != "fp32", "backend"]))]
    if missing:
        return f"{missing}, integer kernels of this timing: {', '.join(ran) or 'none'}"
    return f"integer kernels: {', '.join(ran)}" if ran else ""


def choose_graph(names: Sequence[str]) -> str:
    """One of the timed graphs, the largest at first."""
    return pick.pick("Graph", "timed-graph", {name: name for name in names}, names[-1])
