"""Error at one site against in-degree: the main chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import COLUMNS, Info, Line, at_site, identify, means_over_seeds, over_seeds, select, stack
from dqviz.analysis.tables import ACCUMULATED, LOCAL
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import NOTHING, degree, growth, number
from dqviz.columns import Column
from dqviz.errors import unknown
from dqviz.naming import place

METRICS = (Column.ERROR_MEAN, Column.MSE, Column.SQNR_DB, Column.RMSE_SCALE)
KINDS = (LOCAL, ACCUMULATED)
BIN = ["degree_lo", "degree_hi"]
QUARTILES = ("error_q25", "error_median", "error_q75")


@dataclass(frozen=True, eq=False)
class ErrorByDegree(Info):
    """One line a group; x is the mean in-degree of a bin. `nodes` (dataset, degree, nodes) is the strip below."""

    key: str
    kind: str
    metric: Column
    lines: tuple[Line, ...]
    nodes: pd.DataFrame


def error_by_degree(
    groups: Sequence[Group], key: str, kind: str = ACCUMULATED, metric: str = Column.ERROR_MEAN
) -> ErrorByDegree:
    """`groups` of the degree table. Raises BadInput for another kind or metric.

    The interval is over seeds; where they are too few for one it holds those of each seed's mean over the bin's nodes
    (relative error only). Medians and quartiles over nodes come with the relative error, averaged over seeds.
    """
    if kind not in KINDS:
        raise unknown("kind of error", kind, KINDS)
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    found = select(groups, lambda frame: at_site(frame, key, kind))
    lines, tables = zip(*(_line(group, metric) for group in found), strict=True) if found else ((), ())
    what = f"{COLUMNS[metric].axis} at {place(key)}, {kind} error"
    alt = f"{what}, against in-degree on a logarithmic axis, one line a group of runs, node counts below."
    return ErrorByDegree(_sentence(lines, metric, key), alt, stack(tables, ["degree", metric]), key, kind,
                         COLUMNS[metric], tuple(lines), node_strip(found))  # fmt: skip


def _line(group: Group, metric: str) -> tuple[Line, pd.DataFrame]:
    relative = metric == Column.ERROR_MEAN
    low, high = ("error_lo", "error_hi") if relative else (f"{metric}_lo", f"{metric}_hi")
    table = means_over_seeds(group.frames, BIN, ["degree", "nodes", *(QUARTILES if relative else ())])
    found = over_seeds(group.frames, BIN, metric, (low, high) if relative else None)
    table[metric], table[low], table[high] = found["mean"], found["low"], found["high"]
    names = ["degree", metric, low, high, *(QUARTILES if relative else ())]
    line = Line(group.identity, *(table[name].to_numpy(dtype=np.float64) for name in names))
    return line, identify(table, group)


def node_strip(groups: Sequence[Group]) -> pd.DataFrame:
    """Nodes in each bin, once for each data set: columns dataset, degree, nodes."""
    strips = []
    for dataset in dict.fromkeys(group.dataset for group in groups):
        frame = next(group.frames[0] for group in groups if group.dataset == dataset)
        strip = frame[[*BIN, "degree", "nodes"]].drop_duplicates(BIN)
        strips.append(strip.assign(dataset=dataset)[["dataset", "degree", "nodes"]])
    return stack(strips, ["dataset", "degree", "nodes"])


def _sentence(lines: Sequence[Line], metric: str, key: str) -> str:
    quantized = [line for line in lines if line.who.bits != FULL_PRECISION]
    spans = [(line, *found) for line in quantized or lines if (found := ends(line))]
    if not spans:
        return NOTHING
    name = COLUMNS[metric].label.split(",")[0]
    (line, low, first, high, last), *_ = sorted(spans, key=lambda s: -s[4] if metric != Column.SQNR_DB else s[4])
    where = f"from in-degree {degree(low)} to {degree(high)}"
    if low == high:
        return (
            f"{name} of {line.label} at {place(key)} is {number(first)} at in-degree {degree(low)}, the only one here."
        )
    if metric == Column.SQNR_DB:
        change = f"{'falls' if last < first else 'rises'} by {abs(last - first):.1f} dB"
    else:
        change = growth(last / first if first > 0 else np.nan)
    text = f"{name} of {line.label} at {place(key)} {change} {where} ({number(first)} to {number(last)})"
    if len(spans) == 1:
        return f"{text}."
    best = min(spans, key=lambda s: s[4] if metric != Column.SQNR_DB else -s[4])
    what = "highest ratio" if metric == Column.SQNR_DB else "smallest error"
    return f"{text}; at the highest in-degrees {best[0].label} has the {what} ({number(best[4])})."


def ends(line: Line) -> tuple[float, float, float, float] | None:
    """(in-degree, value) of the first bin with messages and of the last."""
    use = np.flatnonzero(line.finite & (line.x > 0))
    if len(use) < 1:
        return None
    a, b = use[0], use[-1]
    return float(line.x[a]), float(line.y[a]), float(line.x[b]), float(line.y[b])
