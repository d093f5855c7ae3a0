"""Loss or accuracy over epochs, seeds grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import COLUMNS, Info, Line, identify, over_seeds, stack
from dqviz.analysis.words import NOTHING, number
from dqviz.columns import TABLES, Column
from dqviz.errors import unknown

MOST_POINTS = 200


@dataclass(frozen=True, eq=False)
class LearningCurves(Info):
    """One line a group over epochs; `column` says what of."""

    column: Column
    lines: tuple[Line, ...]


def learning_curves(groups: Sequence[Group], column: str = Column.ACCURACY_VAL) -> LearningCurves:
    """`groups` of the metrics table. Raises BadInput for a column the table does not have."""
    if column not in TABLES["metrics"]:
        raise unknown("column of the learning curves", column, TABLES["metrics"])
    chosen = COLUMNS[column]
    lines, tables = [], []
    for group in groups:
        found = thin(over_seeds(group.frames, ["epoch"], column))
        lines.append(Line(group.identity, *(found[name].to_numpy() for name in ("epoch", "mean", "low", "high"))))
        named = found.rename(columns={"mean": column, "low": f"{column}_lo", "high": f"{column}_hi"})
        tables.append(identify(named, group))
    alt = f"{chosen.label} over epochs, one line a group of seeds, bands are 95 % intervals."
    return LearningCurves(_sentence(lines, chosen), alt, stack(tables, ["epoch", column]), chosen, tuple(lines))


def thin(found: pd.DataFrame, most: int = MOST_POINTS) -> pd.DataFrame:
    """At most `most` epochs, the first and last among them."""
    if len(found) <= most:
        return found
    return found.iloc[np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))]


def _sentence(lines: Sequence[Line], column: Column) -> str:
    reached = [(line, float(line.y[line.finite][-1])) for line in lines if line.finite.any()]
    if not reached:
        return NOTHING
    falling = column in {Column.LOSS_TRAIN, Column.LOSS_VAL, Column.EPOCH_MS}
    best, value = min(reached, key=lambda pair: pair[1] if falling else -pair[1])
    last = int(best.x[best.finite][-1])
    if len(reached) == 1:
        return f"{column.label} of {best.label} stands at {number(value)} after epoch {last}."
    extreme = "lowest" if falling else "highest"
    return f"{best.label} ends with the {extreme} {_small(column)}: {number(value)} after epoch {last}."


def _small(column: Column) -> str:
    return column.label[0].lower() + column.label[1:]
