"""Mean and spread after aggregation against in-degree, with the growth the theory expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, at_site, identify, line_over_seeds, means_over_seeds, select, stack
from dqviz.analysis.infos.aggregation_exponents import REFERENCES, fits, last_key
from dqviz.analysis.infos.error_by_degree import BIN, node_strip
from dqviz.analysis.view import Floats
from dqviz.analysis.words import NOTHING, power
from dqviz.naming import place


@dataclass(frozen=True, eq=False)
class AggregationGrowth(Info):
    """Lines of mean and spread; `slopes[label]` the fitted exponents (mean, spread); `references` (name, x, y)."""

    key: str
    means: tuple[Line, ...]
    spreads: tuple[Line, ...]
    slopes: dict[str, tuple[float, float]]
    references: tuple[tuple[str, Floats, Floats], ...]
    nodes: pd.DataFrame


def aggregation_growth(groups: Sequence[Group], key: str = "") -> AggregationGrowth:
    """`groups` of the aggregation table; without a key the last aggregation that all groups have, else the first's."""
    key = key or last_key(groups)
    found = select(groups, lambda frame: at_site(frame, key))
    lines: dict[str, list[Line]] = {"mean": [], "spread": []}
    tables, slopes = [], {}
    for group in found:
        table = means_over_seeds(group.frames, BIN, ["nodes", "degree"])
        for name, into in lines.items():
            into.append(line_over_seeds(group, table["degree"], BIN, name))
            table[name] = into[-1].y
        tables.append(identify(table, group))
        mean, spread = fits(group)
        slopes[group.label] = (mean.value, spread.value)
    alt = (f"Mean and standard deviation at {place(key)} against in-degree, with lines O(n), O(√n) "
           "and O(1).")  # fmt: skip
    return AggregationGrowth(_sentence(slopes, key), alt, stack(tables, ["degree", "mean", "spread"]), key,
                             tuple(lines["mean"]), tuple(lines["spread"]), slopes,
                             _references([*lines["mean"], *lines["spread"]]), node_strip(found))  # fmt: skip


def _references(lines: Sequence[Line]) -> tuple[tuple[str, Floats, Floats], ...]:
    """Lines from the lowest positive in-degree, at the middle (in logarithms) of what the groups have there."""
    usable = [(line.x[u], line.y[u]) for line in lines if (u := line.finite & (line.x > 0) & (line.y > 0)).any()]
    if not usable:
        return ()
    low, high = min(x[0] for x, _ in usable), max(x[-1] for x, _ in usable)
    start = float(np.exp(np.median([np.log(y[0]) for _, y in usable])))
    x = np.geomspace(low, max(high, low * 1.001), 20)
    return tuple((name, x, start * (x / low) ** power) for name, power in REFERENCES)


def _sentence(slopes: dict[str, tuple[float, float]], key: str) -> str:
    known = [(label, *both) for label, both in slopes.items() if np.isfinite(both[1])]
    if not known:
        return NOTHING
    label, mean, spread = max(known, key=lambda t: t[2])
    also = f" and its mean as n^{power(mean)}" if np.isfinite(mean) else ""
    verb = "hardly changes," if power(spread) == power(0.0) else "grows" if spread > 0 else "falls"
    text = f"At {place(key)} the spread of {label} {verb} as n^{power(spread)} with in-degree n{also}"
    flat = min(known, key=lambda t: t[2])
    return f"{text}." if flat[0] == label else f"{text}; {flat[0]} grows least, n^{power(flat[2])}."
