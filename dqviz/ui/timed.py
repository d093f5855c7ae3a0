"""What a finished timing says besides its bars: exactness, bytes moved, why an integer run is slower where it is."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dqviz.ui.names import plain
from dqviz.ui.table import show_table

WHOLE = ("gcn", "gin", "gat", "sage")
COPY = "copy"  # a row of this op times a plain copy of memory: the bandwidth limit
SHORT_MS = 5.0  # below this the fixed cost of a dozen calls is a large part of the time (PLATFORM.md: Cora)


def show_exactness(found: pd.DataFrame) -> None:
    """Whether the integer kernels gave the reference's bits, where that was checked."""
    checked = [bool(value) for value in found["exact"].dropna()] if len(found) else []
    if not checked:
        st.badge("exactness not checked", icon=":material/help:", color="gray")
    elif all(checked):
        st.badge("integer kernels equal the reference to the bit", icon=":material/verified:", color="green")
    else:
        st.badge("an integer kernel differs from the reference", icon=":material/error:", color="red")


def show_bandwidth(found: pd.DataFrame) -> None:
    """Bytes moved and the rate they imply, against a plain copy of memory where that was timed too."""
    moved = found[found["bytes_moved"].notna()].copy()
    if moved[moved["op"] != COPY].empty:
        st.markdown("No operation that was timed here tells how many bytes it moves.")
        return
    moved["rate_gb_s"] = moved["bytes_moved"] / moved["median_ms"] / 1e6
    copies = moved.loc[moved["op"] == COPY, "rate_gb_s"]
    moved = moved[moved["op"] != COPY]
    fastest = moved.nlargest(1, "rate_gb_s").iloc[0]
    sentence = (f"{str(fastest['precision']).upper()} {fastest['backend']} moves most: {fastest['rate_gb_s']:.1f} GB/s "
                f"in {fastest['op']} on {fastest['graph']}")  # fmt: skip
    if len(copies):
        moved = moved.assign(limit_share=moved["rate_gb_s"] / copies.max())
        sentence += f"; a plain copy of memory, the limit, reaches {copies.max():.1f} GB/s here"
    st.markdown(f"{sentence}.")
    shown = ["op", "graph", "backend", "precision", "median_ms", "bytes_moved", "rate_gb_s", "limit_share"]
    show_table(moved[[name for name in shown if name in moved]], "bandwidth")


def show_slower(found: pd.DataFrame) -> None:
    """One sentence for each graph on which no integer run beats the fastest FP32: which operation costs the time."""
    for (op, graph), rows in found[found["op"].isin(WHOLE)].groupby(["op", "graph"], sort=False):
        full, whole = (rows[(rows["precision"] == "fp32") == yes] for yes in (True, False))
        if len(full) and len(whole) and whole["median_ms"].min() > full["median_ms"].min():
            st.markdown(plain(reason(found, str(op), str(graph), whole.nsmallest(1, "median_ms").iloc[0])))


def reason(found: pd.DataFrame, op: str, graph: str, run: pd.Series) -> str:
    """Why `run` (a row of the table) is slower than FP32, as far as the timings of its operations tell."""
    text = f"Why {run['precision'].upper()} is slower on {graph}:"
    inside = found[found["op"].str.startswith(f"{op}/") & (found["graph"] == graph)]
    mine = inside[(inside["precision"] == run["precision"]) & (inside["backend"] == run["backend"])]
    if mine.empty:
        return f"{text} its operations were not timed one by one."
    worst = mine.nlargest(1, "median_ms").iloc[0]
    peers = inside[(inside["op"] == worst["op"]) & (inside["precision"] == "fp32")].nsmallest(1, "median_ms")
    text = f"{text} {worst['op']} alone takes {worst['median_ms']:.3g} of its {run['median_ms']:.3g} ms"
    if len(peers):
        text += f", against {peers['median_ms'].iloc[0]:.3g} ms in {peers['backend'].iloc[0]} at FP32"
    if run["median_ms"] < SHORT_MS:
        text += "; at this size the fixed cost of each call weighs more than the bytes saved"
    return f"{text}."
