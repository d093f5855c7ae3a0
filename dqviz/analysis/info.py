"""What an analysis hands to its plot: the numbers, one sentence, a text for who cannot see it, and the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group, Identity
from dqviz.analysis.student import row_intervals
from dqviz.analysis.view import Array, Floats
from dqviz.columns import Column

COLUMNS = {column.value: column for column in Column}
"""Name -> column, for a name that has been checked."""

EMPTY: Floats = np.zeros(0)


@dataclass(frozen=True, eq=False)
class Info:
    """`sentence` says what the numbers mean, `alt` what the chart shows, `table` holds the plotted numbers."""

    sentence: str
    alt: str
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Line:
    """One line: x, y and, where known, an interval, quartiles and medians; all [points] float64 or empty."""

    who: Identity
    x: Array
    y: Floats
    low: Floats = field(default_factory=lambda: EMPTY)
    high: Floats = field(default_factory=lambda: EMPTY)
    q25: Floats = field(default_factory=lambda: EMPTY)
    median: Floats = field(default_factory=lambda: EMPTY)
    q75: Floats = field(default_factory=lambda: EMPTY)
    name: str = field(default="", kw_only=True)

    @property
    def label(self) -> str:
        return self.name or self.who.label

    @property
    def finite(self) -> Array:
        """Mask of points with a value."""
        return np.isfinite(self.y)


def over_seeds(
    frames: Sequence[pd.DataFrame], by: Sequence[str], column: str, own: tuple[str, str] | None = None
) -> pd.DataFrame:
    """Mean of `column` over seeds for each combination of `by`, with its interval: columns *by, mean, low, high, seeds.

    The interval is over seeds; where they are too few (dqviz.analysis.student) it is NaN, or holds those of each seed
    in the columns `own`.
    """
    keys, matrices = aligned(frames, by, [column, *(own or ())])
    mean, low, high = row_intervals(matrices[column], (matrices[own[0]], matrices[own[1]]) if own else None)
    seeds = np.isfinite(matrices[column]).sum(axis=1)
    return pd.DataFrame({**keys, "mean": mean, "low": low, "high": high, "seeds": seeds})


def line_over_seeds(group: Group, x: pd.Series, by: Sequence[str], column: str) -> Line:
    """`column` against `x`: the mean over seeds for each combination of `by`, with its interval."""
    found = over_seeds(group.frames, by, column)
    return Line(group.identity, *map(_floats, (x, found["mean"], found["low"], found["high"])))


def means_over_seeds(frames: Sequence[pd.DataFrame], by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Columns *by and the mean of each of `columns` over seeds."""
    keys, matrices = aligned(frames, by, columns)
    return pd.DataFrame({**keys, **{name: row_intervals(values)[0] for name, values in matrices.items()}})


def aligned(
    frames: Sequence[pd.DataFrame], by: Sequence[str], columns: Sequence[str]
) -> tuple[dict[str, Array], dict[str, Floats]]:
    """Key columns [rows], and each of `columns` as [rows, seeds], NaN where a seed lacks the row.

    Seeds nearly always have the same rows in the same order, and then nothing is joined (10 times faster).
    """
    if not frames:
        return dict.fromkeys(by, EMPTY), {name: np.zeros((0, 1)) for name in columns}
    keys = [{name: frame[name].to_numpy() for name in by} for frame in frames]
    if all(_equal(keys[0], other) for other in keys[1:]) and not frames[0].duplicated(list(by)).any():
        return keys[0], {name: np.column_stack([_floats(frame[name]) for frame in frames]) for name in columns}
    means = [frame.groupby(list(by), dropna=False)[list(columns)].mean() for frame in frames]
    index = pd.concat(means).index.unique().sort_values()
    filled = [mean.reindex(index) for mean in means]
    table = index.to_frame(index=False)
    joined = {name: np.column_stack([frame[name].to_numpy(dtype=np.float64) for frame in filled]) for name in columns}
    return {name: table[name].to_numpy() for name in by}, joined


def _floats(column: pd.Series) -> Floats:
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _equal(one: dict[str, Array], other: dict[str, Array]) -> bool:
    return all(np.array_equal(values, other[name]) for name, values in one.items())


def at_site(frame: pd.DataFrame, key: str, kind: str | None = None) -> pd.DataFrame:
    """Rows of one site, and of one kind of error where the table has both."""
    keep = frame["key"] == key
    if kind is not None and "kind" in frame:
        keep &= frame["kind"] == kind
    return frame[keep]


def select(groups: Sequence[Group], keep: Callable[[pd.DataFrame], pd.DataFrame]) -> list[Group]:
    """Groups with filtered tables; seeds and groups that have nothing left are dropped."""
    chosen = []
    for group in groups:
        pairs = [(s, kept) for s, f in zip(group.seeds, group.frames, strict=True) if not (kept := keep(f)).empty]
        if pairs:
            seeds, frames = zip(*pairs, strict=True)
            chosen.append(Group(**vars(group.identity), seeds=seeds, frames=frames))
    return chosen


def identify(table: pd.DataFrame, group: Group) -> pd.DataFrame:
    """`table` with the columns that name the group in front."""
    who = pd.DataFrame({("run" if name == "label" else name): [value] * len(table)
                        for name, value in vars(group.identity).items()})  # fmt: skip
    return pd.concat([who, table.reset_index(drop=True)], axis=1)


def stack(tables: Sequence[pd.DataFrame], columns: Sequence[str] = ()) -> pd.DataFrame:
    """One table under the other; `columns` are what an empty one has."""
    kept = [table for table in tables if not table.empty]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=list(columns))
