"""Differences to a baseline, paired over seeds, with a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Identity, Row, seeds_by_variant
from dqviz.analysis.info import Info
from dqviz.analysis.infos.compare_table import finished, value_of
from dqviz.analysis.student import mean_interval
from dqviz.analysis.view import Floats
from dqviz.analysis.words import NOTHING, count, listing, points, signed_points
from dqviz.errors import unknown

AT_LEAST = 5
"""Fewer pairs than this never make a difference: whether 2 to 4 values are normal nobody can tell."""


@dataclass(frozen=True)
class Difference:
    """Test accuracy of `who` minus that of `baseline` at the same seed: mean, 95 % interval, pairs, verdict."""

    who: Identity
    baseline: str
    mean: float
    low: float
    high: float
    pairs: int
    verdict: str

    @property
    def called(self) -> bool:
        return self.pairs >= AT_LEAST and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, eq=False)
class PairedDifferences(Info):
    baseline: str
    differences: tuple[Difference, ...]


def paired_differences(rows: Sequence[Row], baseline: str, column: str = "test_accuracy") -> PairedDifferences:
    """Each group against `baseline`, the label of a group or its short form ("FP32", "QAT INT4").

    A short form that fits several groups compares within the same data set and architecture (and site profile, where
    the baseline has one there). Raises BadInput, listing the groups, for a label that fits none.
    """
    groups = seeds_by_variant(finished(rows, column))
    bases = [who for who in groups if baseline in {who.label, who.label.split(",")[0]}]
    if groups and not bases:
        raise unknown("baseline", baseline, [who.label for who in groups])
    differences = []
    for who, members in groups.items():
        base = _partner(who, bases)
        if base is not None and base != who:
            differences.append(difference(who, base, by_seed(members, column), by_seed(groups[base], column)))
    table = pd.DataFrame([_line(one) for one in differences])
    alt = f"Difference of test accuracy to {baseline} in points with 95 % intervals and a line at zero."
    return PairedDifferences(_sentence(differences, baseline), alt, table, baseline, tuple(differences))


def _partner(who: Identity, bases: Sequence[Identity]) -> Identity | None:
    same = [base for base in bases if (base.dataset, base.arch) == (who.dataset, who.arch)]
    return next((base for base in same if base.profile == who.profile), same[0] if same else None)


def by_seed(rows: Sequence[Row], column: str = "test_accuracy") -> dict[int, float]:
    """Seed -> value of the last row with that seed."""
    return {seed_of(row): value_of(row, column) for row in rows}


def seed_of(row: Row) -> int:
    return int(row.get("seed") or 0)


def paired(own: Mapping[int, float], other: Mapping[int, float]) -> Floats:
    """[pairs]: own minus other at every seed that both have."""
    return np.array([own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())])


def difference(who: Identity, base: Identity, own: Mapping[int, float], other: Mapping[int, float]) -> Difference:
    found = paired(own, other)
    mean, low, high = mean_interval(found)
    return Difference(who, base.label, mean, low, high, len(found),
                      verdict(who.label, base.label, mean, low, high, len(found)))  # fmt: skip


def verdict(label: str, base: str, mean: float, low: float, high: float, pairs: int) -> str:
    """The difference in words; called one only when the paired interval excludes 0 and there are five pairs."""
    if pairs == 0:
        return f"{label} and {base} share no seed, so no difference can be called."
    between = f"{label} and {base}"
    amount = count(pairs, "paired seed")
    if pairs < AT_LEAST:
        return f"No difference between {between} can be called ({amount}, at least {AT_LEAST} are needed)."
    inside = f"95 % interval {signed_points(low)} to {signed_points(high)}, {amount}"
    if low <= 0 <= high:
        return f"No difference between {between} can be called ({inside})."
    ends = (low, high) if mean > 0 else (-high, -low)
    inside = f"95 % interval {signed_points(ends[0])} to {signed_points(ends[1])}, {amount}"
    return f"{label} is {points(mean)} points {'better' if mean > 0 else 'worse'} than {base} ({inside})."


def _line(one: Difference) -> dict[str, object]:
    kept = {k: v for k, v in asdict(one).items() if k != "who"}
    names = {"mean": "difference", "low": "difference_lo", "high": "difference_hi"}
    return {"run": one.who.label, **{names.get(k, k): v for k, v in kept.items()}}


def _sentence(differences: Sequence[Difference], baseline: str) -> str:
    if not differences:
        alone = f"No other group has the data set and architecture of {baseline}, so there is none to compare with it."
        return alone if baseline else NOTHING
    called = sorted((one for one in differences if one.called), key=lambda one: -abs(one.mean))
    if len(differences) == 1:
        return differences[0].verdict
    if not called:
        return f"No difference to {baseline} can be called in this study."
    rest = [one.who.label for one in differences if not one.called]
    more = f" No difference can be called for {listing(rest)}." if rest else ""
    return f"{called[0].verdict}{more}"
