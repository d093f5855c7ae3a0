"""All groups of a study in one table: mean and interval over seeds, only the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.bootstrap import row_intervals
from dqviz.analysis.group import Identity, Row, seeds_by_variant
from dqviz.analysis.info import Info
from dqviz.analysis.published import published
from dqviz.analysis.view import Floats
from dqviz.analysis.words import NOTHING, count, percent

RESULTS = ("val_accuracy", "test_accuracy", "test_accuracy_integer", "epoch_ms_median", "latency_ms", "size_bytes")
SETTINGS = ("dataset", "arch", "method", "bits", "profile", "epochs")


@dataclass(frozen=True)
class Score:
    """Test accuracy of one group over `seeds` seeds, with what was published for it (mean, or NaN) and its mark."""

    who: Identity
    mean: float
    low: float
    high: float
    std: float
    seeds: int
    reported: float
    mark: str


@dataclass(frozen=True, eq=False)
class CompareTable(Info):
    """`table`: run, the settings that differ, seeds, test_accuracy with std, lo and hi, other results, reported."""

    scores: tuple[Score, ...]


def compare_table(rows: Sequence[Row]) -> CompareTable:
    """`rows` as JSON rows of DESIGN.md section 6; runs without a test accuracy are left out.

    `reported` and its mark are published figures (see `analysis.published`), never measured here.
    """
    done = finished(rows)
    groups = seeds_by_variant(done)
    shown = [name for name in SETTINGS if len({str(row.get(name)) for row in done}) > 1]
    scores = [_score(who, members) for who, members in groups.items()]
    table = pd.DataFrame([_line(score, members, shown) for score, members in zip(scores, groups.values(), strict=True)])
    if not table.empty:
        table = table.dropna(axis="columns", how="all")
    alt = "Test accuracy of every group of seeds with its 95 % interval, published figures as hollow marks."
    return CompareTable(_sentence(scores), alt, table, tuple(scores))


def finished(rows: Sequence[Row], column: str = "test_accuracy") -> list[Row]:
    """Rows with a finite value of `column`."""
    return [row for row in rows if np.isfinite(value_of(row, column))]


def value_of(row: Row, column: str) -> float:
    value = row.get(column)
    return float(value) if isinstance(value, (int, float)) else float("nan")


def values_of(rows: Sequence[Row], column: str) -> Floats:
    """[rows] float64, NaN where missing."""
    return np.array([value_of(row, column) for row in rows], dtype=np.float64)


def _score(who: Identity, rows: Sequence[Row]) -> Score:
    values = values_of(rows, "test_accuracy")
    mean, low, high = (float(part[0]) for part in row_intervals(values[None]))
    known = published(who.dataset, who.arch, who.method, who.bits)
    std = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return Score(who, mean, low, high, std, len(values),
                 known.mean if known else np.nan, known.mark if known else "")  # fmt: skip


def _line(score: Score, rows: Sequence[Row], shown: Sequence[str]) -> dict[str, Any]:
    line: dict[str, Any] = {"run": score.who.label, **{name: rows[0].get(name) for name in shown}}
    line |= {"seeds": score.seeds, "test_accuracy": score.mean, "test_accuracy_std": score.std,
             "test_accuracy_lo": score.low, "test_accuracy_hi": score.high}  # fmt: skip
    for name in RESULTS:
        values = values_of(rows, name)
        if name != "test_accuracy" and np.isfinite(values).any():
            line[name] = float(np.nanmean(values))
    known = published(score.who.dataset, score.who.arch, score.who.method, score.who.bits)
    if known:
        line |= {"reported": known.mean, "reported_std": known.std, "reported_mark": known.mark}
    return line


def _sentence(scores: Sequence[Score]) -> str:
    if not scores:
        return NOTHING
    best, worst = max(scores, key=lambda s: s.mean), min(scores, key=lambda s: s.mean)
    text = f"{best.who.label} has the best test accuracy, {percent(best.mean)} over {count(best.seeds, 'seed')}"
    return f"{text}." if len(scores) == 1 else f"{text}; {worst.who.label} the lowest, {percent(worst.mean)}."
