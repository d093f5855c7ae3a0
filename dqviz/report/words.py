"""Headings and cells as people read them; the same in every format."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from dqviz.columns import Column

SHORT = {Column.BITS: "Bits", Column.PROFILE: "Profile"}
_KNOWN = {column.value: column for column in Column}


def heading(name: object) -> str:
    """Label and unit of a known column; the name itself, its underscores as spaces, of another."""
    column = _KNOWN.get(str(name))
    return column.axis if column else str(name).replace("_", " ")


def cell(value: Any) -> str:
    """Four significant digits; whole numbers in full; a dash for nothing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return "–"
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return " ".join(str(value).split())


def cells(frame: pd.DataFrame) -> list[list[str]]:
    """All cells of a table as text, row by row."""
    return [[cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]


def is_number(series: pd.Series[Any]) -> bool:
    """Whether a column is right-aligned."""
    return bool(pd.api.types.is_numeric_dtype(series)) and not pd.api.types.is_bool_dtype(series)
