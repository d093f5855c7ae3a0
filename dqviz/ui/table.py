"""Tables on a page, and their CSV: headings from `columns`, text cells that a spreadsheet cannot run."""

from __future__ import annotations

import csv
from typing import Any

import pandas as pd
import streamlit as st

from dqviz.columns import Column

# A spreadsheet takes a text cell that begins with one of these for a formula (FAULTS.md: formula in CSV).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

# Columns that an analysis adds to those of `columns`.
WORDS = {
    "run": "Run",
    "seeds": "Seeds",
    "test_accuracy_std": "Standard deviation",
    "test_accuracy_lo": "95 % interval from",
    "test_accuracy_hi": "95 % interval to",
    "reported": "Published accuracy",
    "reported_std": "Published standard deviation",
    "reported_mark": "Published: how known",
    "reported_note": "Published: what differs",
    "latency_ms": "Latency (ms)",
    "size_bytes": "Model size (bytes)",
    "flip": "Flips",
    "speedup": "Against the fastest FP32 (times)",
    "speedup_pyg": "Against PyG (times)",
    "rate_gb_s": "Rate (GB/s)",
    "limit_share": "Share of the copy rate",
}
SHARES = ("test_accuracy_", "reported_std", "difference", "limit_share")


def show_table(frame: pd.DataFrame, key: str) -> None:
    """The table and the CSV of it."""
    st.dataframe(frame, hide_index=True, column_config=headings(frame), key=f"frame-{key}")
    download_csv(frame, key)


def download_csv(frame: pd.DataFrame, name: str) -> None:
    """A button that makes the CSV only when it is pressed, without running the page again."""
    st.download_button("CSV", data=lambda: to_csv(frame), file_name=f"dqviz-{name}.csv", mime="text/csv",
                       on_click="ignore", icon=":material/download:", key=f"csv-{name}")  # fmt: skip


def to_csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 CSV; text cells are neutralised and quoted (pandas leaves a carriage return bare), numbers untouched."""
    safe = frame.map(neutral).rename(columns=neutral)
    return safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode()


def neutral(cell: Any) -> Any:
    """`cell`, with an apostrophe in front of text that a spreadsheet would run as a formula."""
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell


def headings(frame: pd.DataFrame) -> dict[str, Any]:
    """Label and unit of every column that has them; shares are shown as per cent."""
    return {str(name): _heading(str(name)) for name in frame.columns}


def _heading(name: str) -> Any:
    known = next((column for column in Column if column.value == name), None)
    label = known.axis if known else WORDS.get(name) or name.replace("_", " ").capitalize()
    if (known is not None and known.unit == "share") or name.startswith(SHARES) or name == "reported":
        return st.column_config.NumberColumn(label.replace(" (share)", ""), format="percent")
    return st.column_config.Column(label)
