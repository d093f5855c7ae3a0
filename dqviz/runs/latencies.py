"""Latency of a table's cells: that of the same architecture, method and bits in profile `integer`, where it was timed.

Cells are trained in profile `paper`, whose values per edge no integer session keeps, so another run tells how long the
network takes: the one of preset `lowbit-latency`, with the same layers and widths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dqviz.runs.costs import shape_of
from dqviz.runs.reproducing import LATENCY, Key, key_of
from dqviz.runs.rows import RunRow
from dqviz.spec import RunSpec, Study

WithCosts = Callable[[Sequence[RunRow]], list[dict[str, Any]]]
"""JSON rows of runs, with `latency_ms`."""


def latencies(
    cells: Mapping[Key, Sequence[RunSpec]], timed: Study, known: Sequence[RunRow], with_costs: WithCosts
) -> dict[Key, float | str]:
    """Milliseconds of each cell, or why there are none. `timed`: the runs that tell; `known`: all runs there are."""
    asked = {(key_of(spec), shape_of(spec)): spec.digest for spec in timed.runs}
    rows = {row.run_id: row for row in known if row.run_id in asked.values()}
    costs = dict(zip(rows, with_costs(list(rows.values())), strict=True))
    found: dict[Key, float | str] = {}
    for key, specs in cells.items():
        run_id = asked.get((key, shape_of(specs[0])))
        latency = costs.get(run_id or "", {}).get("latency_ms")
        found[key] = why_not(run_id, rows) if latency is None else float(latency)
    return found


def why_not(run_id: str | None, rows: Mapping[str, RunRow]) -> str:
    """A clause that says why a cell has no latency."""
    if run_id is None:
        return f"preset `{LATENCY}` has no such run"
    row = rows.get(run_id)
    if row is None or row.state != "finished":
        return f"its run of preset `{LATENCY}` has not finished"
    reason = row.summary.get("integer_reason")
    if reason and row.method != "fp32":
        return str(reason).removeprefix("No integer run: ").rstrip(".")
    return f"its run of preset `{LATENCY}` was not timed (`dqviz measure --preset {LATENCY}`)"
