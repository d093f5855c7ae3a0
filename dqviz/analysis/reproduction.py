"""A published table made again: each cell beside what was reported, and whether the paper's comparisons hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import Row
from dqviz.analysis.infos.compare_table import finished, values_of
from dqviz.analysis.infos.paired_differences import AT_LEAST, by_seed, paired, seed_of
from dqviz.analysis.published import Published, published
from dqviz.analysis.student import mean_interval, row_intervals
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import points
from dqviz.naming import method_label

WIDE = 0.02
"""A standard deviation above this one (a share of 1) asks for more seeds."""
MORE_SEEDS = 30
SUBJECT = "dq"
BASELINES = ("fp32", "ptq", "qat", "nqat")

Key = tuple[str, str, str, int]
"""Data set, architecture, method, bits."""


@dataclass(frozen=True)
class Result:
    """One cell over its finished seeds; accuracies are shares of 1, NaN where nothing has finished."""

    key: Key
    mean: float
    low: float
    high: float
    std: float
    seeds: tuple[int, ...]
    seconds: float
    reported: Published | None
    verdict: str

    @property
    def difference(self) -> float:
        """Ours minus the reported mean; NaN without one of them."""
        return self.mean - self.reported.mean if self.reported else float("nan")

    @property
    def scattered(self) -> bool:
        return self.std > WIDE

    @property
    def wide(self) -> bool:
        """The spread asks for more seeds than there are."""
        return self.scattered and len(self.seeds) < MORE_SEEDS


@dataclass(frozen=True)
class Claim:
    """Degree-Quant minus a baseline, paired over seeds, beside the difference of the reported means (or NaN)."""

    arch: str
    bits: int
    baseline: str
    reported: float
    mean: float
    low: float
    high: float
    pairs: int
    verdict: str


def result(key: Key, rows: Sequence[Row]) -> Result:
    """`rows`: JSON rows of DESIGN.md section 6, one a seed, those that have not finished included."""
    done = finished(rows)
    values = values_of(done, "test_accuracy")
    mean, low, high = (float(part[0]) for part in row_intervals(values[None])) if done else (np.nan,) * 3
    std = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    known = published(*key)
    seeds = tuple(sorted(seed_of(row) for row in done))
    seconds = float(np.nansum(values_of(done, "wall_s")))
    return Result(key, mean, low, high, std, seeds, seconds, known, verdict(low, high, len(done), known))


def verdict(low: float, high: float, seeds: int, known: Published | None) -> str:
    """Where the reported mean lies to our 95 % interval, in words."""
    if seeds == 0:
        return "not run"
    if known is None:
        return "nothing was reported"
    if seeds < AT_LEAST:
        return f"too few seeds for a verdict ({seeds}, at least {AT_LEAST})"
    if low > known.mean:
        return "higher than reported: the reported mean lies below our interval"
    if high < known.mean:
        return "lower than reported: the reported mean lies above our interval"
    return "as reported: the reported mean lies in our interval"


def claims(cells: Mapping[Key, Sequence[Row]]) -> list[Claim]:
    """Degree-Quant against each baseline of the same architecture and width, where both have finished seeds."""
    found = []
    for key, rows in cells.items():
        for rival in rivals(key):
            other = cells.get(rival, ())
            if finished(rows) and finished(other):
                found.append(_claim(key, rival, rows, other))
    return found


def rivals(key: Key) -> list[Key]:
    """The baselines that a cell of Degree-Quant is paired with; none for another method."""
    dataset, arch, method, bits = key
    widths = {baseline: FULL_PRECISION if baseline == "fp32" else bits for baseline in BASELINES}
    return [(dataset, arch, *one) for one in widths.items()] if method == SUBJECT else []


def asking(results: Sequence[Result]) -> list[Result]:
    """Cells with fewer than MORE_SEEDS seeds whose spread asks for as many, or that of a cell they are paired with."""
    wanting = {one.key for one in results if one.scattered}
    pairs = [(one.key, rival) for one in results for rival in rivals(one.key)]
    paired_too = {key for pair in pairs if wanting & {*pair} for key in pair}
    return [one for one in results if one.key in wanting | paired_too and 0 < len(one.seeds) < MORE_SEEDS]


def _claim(key: Key, rival: Key, rows: Sequence[Row], other: Sequence[Row]) -> Claim:
    (_, arch, _, bits), baseline = key, rival[2]
    differences = paired(by_seed(finished(rows)), by_seed(finished(other)))
    mean, low, high = mean_interval(differences)
    known = published(*key), published(*rival)
    reported = known[0].mean - known[1].mean if known[0] and known[1] else np.nan
    if baseline == "fp32" and np.isfinite(reported):  # a claim to lose so much, whichever sign it has
        words = loss_verdict(-reported, -high, -low, len(differences))
    else:
        words = claim_verdict(method_label(baseline), reported, low, high, len(differences))
    return Claim(arch, bits, baseline, reported, mean, low, high, len(differences), words)


def claim_verdict(baseline: str, reported: float, low: float, high: float, pairs: int) -> str:
    """Whether a reported difference holds; one is called only when the paired interval excludes 0."""
    if pairs < AT_LEAST:
        return f"too few paired seeds for a verdict ({pairs}, at least {AT_LEAST})"
    ours = "no difference can be called"
    if low > 0:
        ours = f"Degree-Quant is better than {baseline}, {at_least(low)}"
    elif high < 0:
        ours = f"{baseline} is better than Degree-Quant, {at_least(high)}"
    if not np.isfinite(reported) or reported == 0:
        return ours
    if low <= 0 <= high:
        return f"not shown: {ours}"
    return f"{'holds' if (low > 0) == (reported > 0) else 'does not hold'}: {ours}"


def at_least(end: float) -> str:
    """'by at least 0.3 points', of the interval's end next to 0."""
    words = points(end)
    return "if barely" if words == points(0) else f"by at least {words} points"


def loss_verdict(reported: float, low: float, high: float, pairs: int) -> str:
    """Whether a claim to lose no more than `reported` against full precision holds."""
    if pairs < AT_LEAST:
        return f"too few paired seeds for a verdict ({pairs}, at least {AT_LEAST})"
    if low > reported:
        if low > 0:
            return f"fails: at least {points(low)} points are lost here"
        gained = f"at most {points(-low)} points are gained here"  # a gain was reported
        return f"not shown: {gained if high < 0 else 'no difference can be called'}"
    if high < reported:
        ours = f"most {points(high)} points are lost" if high > 0 else f"least {points(-high)} points are gained"
        return f"holds: at {ours} here"
    return "as reported: the reported loss lies in our interval"
