"""How fast mean and spread after aggregation grow with in-degree: fitted exponents beside those theory expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.bootstrap import slope_interval
from dqviz.analysis.group import Group, Identity
from dqviz.analysis.info import Info, at_site, identify, select, stack
from dqviz.analysis.infos.growth import Exponent
from dqviz.analysis.student import row_intervals
from dqviz.analysis.words import NOTHING, power
from dqviz.naming import place

REFERENCES = (("O(n)", 1.0), ("O(√n)", 0.5), ("O(1)", 0.0))
"""Growth of GIN, GCN and GAT in the Degree-Quant paper (METHODS.md 1.1)."""
KINDS = ("mean", "spread")


@dataclass(frozen=True, eq=False)
class AggregationExponents(Info):
    """Two exponents a group, of the mean and of the spread; `references` (name, exponent)."""

    key: str
    exponents: tuple[Exponent, ...]
    references: tuple[tuple[str, float], ...] = REFERENCES


def aggregation_exponents(groups: Sequence[Group], key: str = "") -> AggregationExponents:
    """`groups` of the aggregation table; without a key the last aggregation that all groups have, else the first's."""
    key = key or last_key(groups)
    found = select(groups, lambda frame: at_site(frame, key))
    fitted = [(group, fits(group)) for group in found]
    exponents = [one for _, both in fitted for one in both]
    tables = [
        identify(pd.DataFrame([{"kind": one.kind, "exponent": one.value, "exponent_lo": one.low,
                                "exponent_hi": one.high} for one in both]), group)
        for group, both in fitted
    ]  # fmt: skip
    alt = (f"Fitted power of in-degree with which mean and spread grow at {place(key)}, with 95 % intervals and lines "
           "at O(1), O(√n) and O(n).")  # fmt: skip
    return AggregationExponents(_sentence(exponents, key), alt, stack(tables, ["kind", "exponent"]), key,
                                tuple(exponents))  # fmt: skip


def fits(group: Group) -> tuple[Exponent, Exponent]:
    """Exponents of mean and spread: slopes of log value on log in-degree over bins.

    Every bin counts the same, because each is one step of log in-degree and O() speaks of the whole range: weighted by
    nodes, the few neighbours that most nodes have decide (GCN on Cora: n^0.14, though its spread follows the square
    root from in-degree 10 on). The interval is over seeds, or over bins where seeds are too few for one.
    NaN with fewer than three usable bins.
    """
    mean, spread = (_fit(group.identity, kind, [slope(frame, kind) for frame in group.frames]) for kind in KINDS)
    return mean, spread


def slope(frame: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Slope over one seed's bins with its interval over bins; a bin without edges or without a value is left out."""
    x, y = (frame[name].to_numpy(dtype=np.float64) for name in ("degree", column))
    use = np.isfinite(y) & (x > 0) & (np.nan_to_num(y) > 0)
    return slope_interval(np.log(x[use]), np.log(y[use]))


def _fit(who: Identity, kind: str, slopes: Sequence[tuple[float, float, float]]) -> Exponent:
    value, low, high = np.array(slopes).T[:, None]
    return Exponent(who, kind, *(float(part[0]) for part in row_intervals(value, (low, high))))


def last_key(groups: Sequence[Group]) -> str:
    keys: list[list[str]] = [list(dict.fromkeys(group.frames[0]["key"])) for group in groups]
    common = [key for key in keys[0] if all(key in other for other in keys)] if keys else []
    return (common or (keys[0] if keys else []) or [""])[-1]


def expected(one: Exponent) -> str:
    """'which holds O(n)' where the interval does, else the nearest: 'nearest O(n)'."""
    inside = [name for name, power in REFERENCES if one.low - 1e-9 <= power <= one.high + 1e-9]
    nearest = min(REFERENCES, key=lambda reference: abs(reference[1] - one.value))[0]
    return f"which holds {inside[0]}" if inside else f"nearest {nearest}"


def _sentence(exponents: Sequence[Exponent], key: str) -> str:
    known = [one for one in exponents if one.kind == "spread" and np.isfinite(one.value)]
    if not known:
        return NOTHING
    ordered = sorted(known, key=lambda one: -one.value)
    shown = ordered if len(ordered) <= 3 else [ordered[0], ordered[-1]]
    parts = [_part(one) for one in shown]
    text = f"At {place(key)} the spread changes with in-degree n as {'; as '.join(parts)}"
    return f"{text}; {len(ordered) - 2} more lie between." if len(ordered) > 3 else f"{text}."


def _part(one: Exponent) -> str:
    interval = f"95 % interval {power(one.low)} to {power(one.high)}, {expected(one)}"
    inside = interval if np.isfinite(one.low) else expected(one)
    return f"n^{power(one.value)} for {one.who.label} ({inside})"
