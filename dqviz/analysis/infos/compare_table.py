"""All groups of a study in one table: mean and interval over seeds, only the settings that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.group import Identity, Row, bits_label, bits_of, seeds_by_variant
from dqviz.analysis.info import Info
from dqviz.analysis.published import Published, published
from dqviz.analysis.student import row_intervals
from dqviz.analysis.view import Floats
from dqviz.analysis.words import NOTHING, count, percent

RESULTS = ("val_accuracy", "test_accuracy", "test_accuracy_integer", "epoch_ms_median", "latency_ms", "size_bytes")
WIDTHS = ("feature_bits", "tensor_bits")
"""Mean bits: told where they are not the bits that were asked for."""
SAME_BITS = 1e-6
SETTINGS = ("dataset", "arch", "method", "bits", "profile", "epochs")


@dataclass(frozen=True)
class Score:
    """Test accuracy of one group over `seeds` seeds, with what was published for it: mean (or NaN), mark and note."""

    who: Identity
    mean: float
    low: float
    high: float
    std: float
    seeds: int
    reported: float
    reported_std: float
    mark: str
    note: str


@dataclass(frozen=True, eq=False)
class CompareTable(Info):
    """`table`: run, the settings that differ, seeds, test_accuracy with std, lo and hi, other results, reported.

    Mean bits of features and of all tensors follow the settings where they differ from the bits of any run.
    """

    scores: tuple[Score, ...]


def compare_table(rows: Sequence[Row]) -> CompareTable:
    """`rows` as JSON rows of DESIGN.md section 6; runs without a test accuracy are left out.

    `reported`, its mark and note are published figures (see `analysis.published`), never measured here.
    """
    done = finished(rows)
    groups = seeds_by_variant(done)
    shown = [name for name in SETTINGS if len({str(row.get(name)) for row in done}) > 1]
    widths = [name for name in WIDTHS if any(map(other_width(name), done))]
    scores = [_score(who, members, known_of(who, groups)) for who, members in groups.items()]
    lines = [_line(score, members, shown, widths) for score, members in zip(scores, groups.values(), strict=True)]
    table = with_widths(pd.DataFrame(lines))
    if not table.empty:
        table = table.dropna(axis="columns", how="all")
    alt = "Test accuracy of every group of seeds with its 95 % interval, published figures as hollow marks."
    return CompareTable(_sentence(scores), alt, table, tuple(scores))


def other_width(name: str) -> Callable[[Row], bool]:
    """Whether a row's mean bits are not those that were asked for."""
    return lambda row: bool(abs(value_of(row, name) - bits_of(row)) > SAME_BITS)


def with_widths(table: pd.DataFrame) -> pd.DataFrame:
    """Bits as words ("INT8", "mixed") where a run has a map from site to bits instead of a number."""
    if "bits" not in table or table["bits"].notna().all():
        return table
    return table.assign(bits=[bits_label(None if pd.isna(bits) else int(bits)) for bits in table["bits"]])


def finished(rows: Sequence[Row], column: str = "test_accuracy") -> list[Row]:
    """Rows with a finite value of `column`."""
    return [row for row in rows if np.isfinite(value_of(row, column))]


def value_of(row: Row, column: str) -> float:
    value = row.get(column)
    return float(value) if isinstance(value, (int, float)) else float("nan")


def mean_of(rows: Sequence[Row], column: str) -> float:
    """Mean of the rows that have a value; NaN where none has."""
    values = values_of(rows, column)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def values_of(rows: Sequence[Row], column: str) -> Floats:
    """[rows] float64, NaN where missing."""
    return np.array([value_of(row, column) for row in rows], dtype=np.float64)


def known_of(who: Identity, groups: Iterable[Identity]) -> Published | None:
    """What was published for this configuration. Groups that differ in other settings (depth, observer) have none:
    nothing tells which of them it is about."""
    same = [one for one in groups if published_key(one) == published_key(who)]
    return published(*published_key(who)) if len(same) == 1 else None


def published_key(who: Identity) -> tuple[str, str, str, int]:
    return who.dataset, who.arch, who.method, who.bits


def _score(who: Identity, rows: Sequence[Row], known: Published | None) -> Score:
    values = values_of(rows, "test_accuracy")
    mean, low, high = (float(part[0]) for part in row_intervals(values[None]))
    std = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return Score(who, mean, low, high, std, len(values),
                 known.mean if known else np.nan, known.std if known else np.nan, known.mark if known else "",
                 known.note if known else "")  # fmt: skip


def _line(score: Score, rows: Sequence[Row], shown: Sequence[str], widths: Sequence[str]) -> dict[str, Any]:
    line: dict[str, Any] = {"run": score.who.label, **{name: rows[0].get(name) for name in shown}}
    line |= {name: mean_of(rows, name) for name in widths}
    line |= {"seeds": score.seeds, "test_accuracy": score.mean, "test_accuracy_std": score.std,
             "test_accuracy_lo": score.low, "test_accuracy_hi": score.high}  # fmt: skip
    line |= {name: mean_of(rows, name) for name in RESULTS if name != "test_accuracy"}
    if score.mark:
        line |= {"reported": score.reported, "reported_std": score.reported_std, "reported_mark": score.mark,
                 "reported_note": score.note or None}  # fmt: skip
    return line


def _sentence(scores: Sequence[Score]) -> str:
    if not scores:
        return NOTHING
    best, worst = max(scores, key=lambda s: s.mean), min(scores, key=lambda s: s.mean)
    text = f"{best.who.label} has the best test accuracy, {percent(best.mean)} over {count(best.seeds, 'seed')}"
    return f"{text}." if len(scores) == 1 else f"{text}; {worst.who.label} the lowest, {percent(worst.mean)}."
