"""From what every quantizer saw to the tables of a finished run: one streaming pass a site."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from dqviz.analysis.aggregation import aggregation_rows
from dqviz.analysis.bins import Bins, degree_bins, degree_groups
from dqviz.analysis.sweep import sweep
from dqviz.analysis.tables import (
    NodeError,
    Row,
    degree_rows,
    growth_row,
    histogram_rows,
    node_errors,
    quantile_rows,
    range_row,
    width_rows,
)
from dqviz.analysis.view import Array, Floats, SiteView
from dqviz.columns import TABLES, error_column

NAMES = ("degree", "growth", "aggregation", "histograms", "quantiles", "ranges", "widths")
DIGITS = 3
_FLOATS = frozenset(["lo", "hi", "scale", "zero_point", "degree_lo", "degree_hi", "levels_total", "levels_used"])


def analyse(views: Iterable[SiteView], degree: Array, *, seed: int = 0) -> dict[str, pd.DataFrame]:
    """The tables NAMES (columns of TABLES) and node_errors.

    `degree` [num_nodes] is the in-degree without self-loops. `node_errors` has one float32 column a site and kind
    (`error_column`), the relative L2 error of each node, rounded to three significant digits so that Parquet
    compresses it; row i is node i. Views are read one after the other and may be made lazily. Nothing is infinite in
    any table; NaN stands for "not defined". `seed` draws the bootstrap.
    """
    degree = np.asarray(degree, dtype=np.int64)
    analysis = _Analysis(degree, seed)
    for view in views:
        analysis.add(view)
    return analysis.tables()


class _Analysis:
    def __init__(self, degree: Array, seed: int) -> None:
        self.degree = degree
        self.seed = seed
        self.bins: Bins = degree_bins(degree)
        self.groups: Bins = degree_groups(degree)
        self.rows: dict[str, list[Row]] = {name: [] for name in NAMES}
        self.wide: dict[str, Floats] = {}

    def add(self, view: SiteView) -> None:
        groups = self.groups if view.per_node else None
        group = self._row_groups(view)
        swept = sweep(view, group, max(1, len(self.groups)) if view.per_node else 1)
        self.rows["ranges"].append(range_row(view, swept))
        self.rows["histograms"] += histogram_rows(view, swept, groups)
        self.rows["quantiles"] += quantile_rows(view, swept, groups, group)
        if not view.per_node:
            return
        for error in node_errors(view, swept, len(self.degree)):
            self._add_errors(view, error)
        self.rows["widths"] += width_rows(view, self.bins)
        if view.site == "aggregate":
            self.rows["aggregation"] += aggregation_rows(view, self.bins)

    def _row_groups(self, view: SiteView) -> Array:
        if not view.per_node:
            return np.zeros(1, dtype=np.int64)
        return self.groups.index if view.node is None else self.groups.index[view.node]

    def _add_errors(self, view: SiteView, error: NodeError) -> None:
        self.rows["degree"] += degree_rows(view, error, self.bins, self.seed)
        self.rows["growth"].append(growth_row(view, error, self.degree, self.seed))
        self.wide[error_column(view.key, error.kind)] = round_digits(error.relative).astype(np.float32)

    def tables(self) -> dict[str, pd.DataFrame]:
        found = {name: frame(name, rows) for name, rows in self.rows.items()}
        found["node_errors"] = pd.DataFrame(self.wide, index=pd.RangeIndex(len(self.degree)))
        return found


def frame(name: str, rows: list[Row]) -> pd.DataFrame:
    """Rows as TABLES[name], plain column names; numbers stay numbers in an empty table too."""
    columns = [column.value for column in TABLES[name]]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({column: "float64" for column in columns if column in _FLOATS})


def round_digits(values: Floats, digits: int = DIGITS) -> Floats:
    """To `digits` significant digits; zero and NaN stay what they are."""
    size = np.abs(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(size > 0, np.floor(np.log10(size)), 0.0)
    factor = 10.0 ** (digits - 1 - np.nan_to_num(power))
    return np.asarray(np.round(values * factor) / factor)
