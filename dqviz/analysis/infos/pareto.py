"""Accuracy against what it costs: latency, model size, or the bits of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Identity, Row, seeds_by_variant
from dqviz.analysis.info import Info
from dqviz.analysis.infos.compare_table import finished, mean_of, values_of
from dqviz.analysis.student import row_intervals
from dqviz.analysis.words import listing
from dqviz.errors import unknown

COSTS = {
    "latency_ms": "Latency (ms)",
    "size_bytes": "Model size (bytes)",
    "feature_bytes": "Size of all quantized features (bytes)",
    "feature_bits": "Bits of a quantized feature, mean",
    "tensor_bits": "Bits of a value at all sites, mean",
}
BITS = "No run of this study tells its bits: they were trained before bits were counted."
MISSING = {
    "latency_ms": "No run of this study has been timed yet: start a measurement on the Latency page.",
    "size_bytes": "No run of this study tells its model's size.",
    "feature_bytes": BITS,
    "feature_bits": BITS,
    "tensor_bits": BITS,
}
LESS = {"latency_ms": "faster", "size_bytes": "smaller", "feature_bytes": "smaller"}


@dataclass(frozen=True)
class Point:
    """One group: mean cost and mean accuracy with its interval; `best` when no other is both cheaper and better."""

    who: Identity
    cost: float
    accuracy: float
    low: float
    high: float
    best: bool


@dataclass(frozen=True, eq=False)
class Pareto(Info):
    x: str
    x_title: str
    points: tuple[Point, ...]


def known_cost(rows: Sequence[Row]) -> str:
    """The first of COSTS that any finished row tells: what a chart opens on."""
    return next((x for x in COSTS if finished(finished(rows), x)), next(iter(COSTS)))


def pareto(rows: Sequence[Row], x: str = "latency_ms") -> Pareto:
    """`rows` as JSON rows with a further value `x` (one of COSTS); groups without it are left out.

    Accuracy is that of all seeds, also where one alone was timed; the cost is the mean of those that have one.
    """
    if x not in COSTS:
        raise unknown("cost", x, COSTS)
    groups = {who: members for who, members in seeds_by_variant(finished(rows)).items() if finished(members, x)}
    cost = np.array([mean_of(members, x) for members in groups.values()])
    intervals = [row_intervals(values_of(members, "test_accuracy")[None]) for members in groups.values()]
    score = [float(mean[0]) for mean, _, _ in intervals]
    best = [not any(map(_beats, cost, score, [c] * len(score), [s] * len(score)))
            for c, s in zip(cost, score, strict=True)]  # fmt: skip
    points = tuple(
        Point(who, float(cost[i]), score[i], float(intervals[i][1][0]), float(intervals[i][2][0]), best[i])
        for i, who in enumerate(groups)
    )
    table = pd.DataFrame([
        {"run": p.who.label, x: p.cost, "test_accuracy": p.accuracy, "test_accuracy_lo": p.low,
         "test_accuracy_hi": p.high, "best": p.best} for p in points
    ])  # fmt: skip
    alt = f"Test accuracy against {COSTS[x]}, one mark a group of runs, the efficient ones joined by a line."
    return Pareto(_sentence(points, x), alt, table, x, COSTS[x], points)


def _beats(cost: float, score: float, other_cost: float, other_score: float) -> bool:
    return bool(cost <= other_cost and score >= other_score and (cost < other_cost or score > other_score))


def _sentence(points: Sequence[Point], x: str) -> str:
    if not points:
        return MISSING[x]
    best = sorted((p for p in points if p.best), key=lambda p: p.cost)
    what = LESS.get(x, "of fewer bits")
    verb = "is" if len(best) == 1 else "are"
    names = listing([p.who.label for p in best])
    return f"{names} {verb} efficient: nothing here is both {what} and at least as accurate."
