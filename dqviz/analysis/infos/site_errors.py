"""Error of every site in order of execution: where in the network it arises or piles up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, identify, over_seeds, stack
from dqviz.analysis.infos.error_by_degree import KINDS
from dqviz.analysis.tables import LOCAL
from dqviz.analysis.words import NOTHING, number
from dqviz.errors import BadInput, unknown
from dqviz.naming import place


@dataclass(frozen=True, eq=False)
class SiteErrors(Info):
    """One line a group over `keys`, the sites in order of execution; x is the position in `keys`."""

    kind: str
    keys: tuple[str, ...]
    lines: tuple[Line, ...]


def site_errors(groups: Sequence[Group], kind: str = LOCAL) -> SiteErrors:
    """`groups` of the degree table (mean relative error over nodes) or of ranges (local error over all values).

    From ranges the relative error is 10^(-SQNR / 20), weights and attention included. Raises BadInput for an unknown
    kind, and for the accumulated error of ranges, which hold none.
    """
    if kind not in KINDS:
        raise unknown("kind of error", kind, KINDS)
    keys = _order([frame for group in groups for frame in group.frames])
    lines, tables = [], []
    for group in groups:
        found = over_seeds([_by_site(frame, kind) for frame in group.frames], ["key"], "error_mean")
        found = found.set_index("key").reindex([key for key in keys if key in set(found["key"])]).reset_index()
        x = np.array([keys.index(key) for key in found["key"]], dtype=np.float64)
        values = (found[name].to_numpy(dtype=np.float64) for name in ("mean", "low", "high"))
        lines.append(Line(group.identity, x, *values))
        named = {"mean": "error_mean", "low": "error_lo", "high": "error_hi"}
        tables.append(identify(found.rename(columns=named), group))
    alt = f"Mean relative {kind} error of every site in order of execution, one line a group of runs."
    return SiteErrors(_sentence(lines, keys, kind), alt, stack(tables, ["key", "error_mean"]), kind, tuple(keys),
                      tuple(lines))  # fmt: skip


def _by_site(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    if "error_mean" not in frame:
        if kind != LOCAL:
            raise BadInput("The table of ranges holds local errors only; choose local or read the degree table.")
        return pd.DataFrame({"key": frame["key"], "error_mean": 10 ** (-frame["sqnr_db"] / 20)})
    rows = frame[frame["kind"] == kind]
    weighted = rows.assign(error_mean=rows["error_mean"] * rows["nodes"], nodes=rows["nodes"].where(
        rows["error_mean"].notna(), 0))  # fmt: skip
    sums = weighted.groupby("key", sort=False)[["error_mean", "nodes"]].sum()
    share = sums["error_mean"] / sums["nodes"].where(sums["nodes"] > 0)
    return share.rename("error_mean").reset_index()


def _order(frames: Sequence[pd.DataFrame]) -> list[str]:
    """Sites as they run: by the column `order` where there is one, else by first appearance."""
    sorted_frames = (frame.sort_values("order") if "order" in frame else frame for frame in frames)
    longest = sorted((list(dict.fromkeys(frame["key"])) for frame in sorted_frames), key=len, reverse=True)
    return list(dict.fromkeys(key for keys in longest for key in keys))


def _sentence(lines: Sequence[Line], keys: Sequence[str], kind: str) -> str:
    known = [(float(np.nanmax(line.y)), line) for line in lines if line.finite.any()]
    if not known:
        return NOTHING
    top, line = max(known, key=lambda pair: pair[0])
    where = place(keys[int(line.x[int(np.nanargmax(line.y))])])
    return f"The largest {kind} error of {line.label} stands at {where}: {number(top)} of the value's length."
