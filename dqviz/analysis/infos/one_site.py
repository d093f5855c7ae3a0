"""One site at fewer bits while the rest keeps its own: what that costs, with each method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from dqviz.analysis.group import Identity, Row, bits_of, site_widths, told_apart
from dqviz.analysis.info import Info
from dqviz.analysis.infos.compare_table import finished, value_of
from dqviz.analysis.infos.paired_differences import AT_LEAST, paired, seed_of
from dqviz.analysis.student import mean_interval
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import count, points
from dqviz.naming import kind_name

ALL_SITES = "all sites"
NONE = ("No run here has one site at fewer bits than the rest beside runs of the same seeds without that; the study "
        "“One site at INT4, Cora” on the Train page trains such runs.")  # fmt: skip


@dataclass(frozen=True)
class SiteCost:
    """Test accuracy with `site` at `bits` minus that of the same seeds with every site at `base` bits.

    `who` is the method at `base` bits (its label is the method's, its bits are `bits`); mean and 95 % interval over
    `pairs` paired seeds, as shares.
    """

    who: Identity
    site: str
    bits: int
    base: int
    mean: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True, eq=False)
class OneSite(Info):
    """`costs` in the order of `sites`, the costliest first; 'all sites' is the whole network at the lower bits."""

    sites: tuple[str, ...]
    costs: tuple[SiteCost, ...]


def one_site(rows: Sequence[Row]) -> OneSite:
    """`rows` as JSON rows with `site_bits`. Only maps that lower one site (kind or key) count."""
    done = finished(rows)
    costs = [cost for cost in _costs(done) if cost.pairs]
    sites = sorted({cost.site for cost in costs}, key=lambda site: _worst(costs, site))
    costs = sorted(costs, key=lambda cost: sites.index(cost.site))
    table = pd.DataFrame([_row(cost) for cost in costs])
    alt = "Change of test accuracy when one site alone has fewer bits, by site and method, with a line at zero."
    return OneSite(_sentence(costs), alt, table, tuple(sites), tuple(costs))


def lowered(row: Row) -> tuple[str, int, int] | None:
    """(site, its bits, bits of the rest) of a run that lowers one site; None for any other run."""
    base, others = site_widths(row)
    if len(others) != 1:
        return None
    ((site, bits),) = others.items()
    return (site, bits, base) if bits < base else None


Case = tuple[Identity, str, int, int]


def _costs(rows: Sequence[Row]) -> Iterator[SiteCost]:
    """Cases by (method, site, bits, base); the whole network at `bits` is one more case where it was trained."""
    uniform: dict[tuple[Identity, int], list[Row]] = {}
    cases: dict[Case, list[Row]] = {}
    for row, who in zip(rows, _methods(rows), strict=True):
        found = lowered(row)
        if found:
            cases.setdefault((who, *found), []).append(row)
        elif bits_of(row):
            uniform.setdefault((who, bits_of(row)), []).append(row)
    for who, bits, base in dict.fromkeys((who, bits, base) for who, _, bits, base in cases):
        cases[who, ALL_SITES, bits, base] = uniform.get((who, bits), [])
    for (who, site, bits, base), own in cases.items():
        yield _cost(who, site, bits, base, _by_seed(own), _by_seed(uniform.get((who, base), [])))


def _methods(rows: Sequence[Row]) -> list[Identity]:
    """The method of each row whatever its bits, with the settings that tell runs of one method apart."""
    plain = told_apart([{**row, "bits": FULL_PRECISION, "site_bits": None} for row in rows])
    return [replace(one, label=one.label.replace(" FP32", "", 1), bits=0) for one in plain]


def _by_seed(rows: Sequence[Row]) -> dict[int, float]:
    """Test accuracy by seed; without those that occur twice, for nothing tells which of the two is meant."""
    times = Counter(map(seed_of, rows))
    return {seed_of(row): value_of(row, "test_accuracy") for row in rows if times[seed_of(row)] == 1}


def _cost(who: Identity, site: str, bits: int, base: int, own: dict[int, float], other: dict[int, float]) -> SiteCost:
    found = paired(own, other)
    return SiteCost(who, site, bits, base, *mean_interval(found), len(found))


def _worst(costs: Sequence[SiteCost], site: str) -> tuple[bool, float]:
    """All sites together come last; the others by their largest loss."""
    return site == ALL_SITES, min(cost.mean for cost in costs if cost.site == site)


def _row(cost: SiteCost) -> dict[str, object]:
    return {"run": cost.who.label, "dataset": cost.who.dataset, "arch": cost.who.arch, "site": cost.site,
            "bits": cost.bits, "difference": cost.mean, "difference_lo": cost.low, "difference_hi": cost.high,
            "pairs": cost.pairs}  # fmt: skip


def _place(cost: SiteCost) -> tuple[object, ...]:
    return cost.site, cost.bits, cost.base, cost.who.arch, cost.who.dataset


def _sentence(costs: Sequence[SiteCost]) -> str:
    single = [cost for cost in costs if cost.site != ALL_SITES]
    if not single:
        return NONE
    worst = min(single, key=lambda cost: cost.mean)
    where = f"{worst.who.arch.upper()}, {count(worst.pairs, 'paired seed')}"
    text = (f"With {worst.who.label} at INT{worst.base} the site that costs most when it alone has INT{worst.bits} is "
            f"the {kind_name(worst.site)}: {points(worst.mean)} points "
            f"{'lost' if worst.mean < 0 else 'gained'} ({where})")  # fmt: skip
    beside = [f"{cost.who.label} {'loses' if cost.mean < 0 else 'gains'} {points(cost.mean)} there"
              for cost in single if cost is not worst and _place(cost) == _place(worst)]  # fmt: skip
    few = f"; with under {AT_LEAST} pairs no difference can be called" if worst.pairs < AT_LEAST else ""
    return f"{'; '.join([text, *beside])}{few}."
