"""How fast error grows with in-degree: one exponent a group, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import Group, Identity
from dqviz.analysis.info import Info, at_site, identify, over_seeds, select, stack
from dqviz.analysis.words import NOTHING, listing, power
from dqviz.naming import place


@dataclass(frozen=True)
class Exponent:
    who: Identity
    kind: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Growth(Info):
    key: str
    exponents: tuple[Exponent, ...]


def growth(groups: Sequence[Group], key: str) -> Growth:
    """`groups` of the growth table. The interval is over seeds, or over nodes where seeds are too few for one."""
    exponents, tables = [], []
    for group in select(groups, lambda frame: at_site(frame, key)):
        found = over_seeds(group.frames, ["kind"], "exponent", ("exponent_lo", "exponent_hi"))
        exponents += [Exponent(group.identity, str(k), float(v), float(a), float(b))
                      for k, v, a, b in found[["kind", "mean", "low", "high"]].itertuples(index=False)]  # fmt: skip
        named = {"mean": "exponent", "low": "exponent_lo", "high": "exponent_hi"}
        tables.append(identify(found.rename(columns=named), group))
    alt = (
        f"Growth exponent of the relative error with in-degree at {place(key)}, with 95 % intervals and a line at zero."
    )
    return Growth(_sentence(exponents, key), alt, stack(tables, ["kind", "exponent"]), key, tuple(exponents))


def _sentence(exponents: Sequence[Exponent], key: str) -> str:
    known = [e for e in exponents if np.isfinite(e.value)]
    if not known:
        return NOTHING
    kind = "accumulated" if any(e.kind == "accumulated" for e in known) else "local"
    known = [e for e in known if e.kind == kind and np.isfinite([e.low, e.high]).all()]
    if not known:
        return f"At {place(key)} nodes are too few to tell whether the {kind} relative error grows with in-degree."
    rising = [e.who.label for e in known if e.low > 0]
    falling = [e.who.label for e in known if e.high < 0]
    parts = [f"grows with in-degree for {listing(rising)}"] if rising else []
    parts += [f"falls {'with it' if rising else 'with in-degree'} for {listing(falling)}"] if falling else []
    if not parts:
        return (f"At {place(key)} no growth of the {kind} relative error with in-degree can be shown: every interval "
                "holds 0.")  # fmt: skip
    top = max(known, key=lambda e: abs(e.value))
    return (f"At {place(key)} the {kind} relative error {' and '.join(parts)}; the steepest exponent is "
            f"{power(top.value)} ({top.who.label}).")  # fmt: skip
