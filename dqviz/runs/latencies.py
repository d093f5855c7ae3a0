"""Latency of a table's cells: that of the same architecture, method and bits in profile `integer`, where it was timed.

Cells are trained in profile `paper`, whose values per edge no integer session keeps, so another run tells how long the
network takes: the one of preset `lowbit-latency`, or where that was not timed any other in its profile with the same
layers, widths and quantized sites. Rates, dropout and rules for ranges do not change how long a network takes.
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
Network = tuple[Key, tuple[Any, ...], str]
"""What tells how long a run's network takes."""


def latencies(
    cells: Mapping[Key, Sequence[RunSpec]], timed: Study, known: Sequence[RunRow], with_costs: WithCosts
) -> dict[Key, float | str]:
    """Milliseconds of each cell, or why there are none. `timed`: the runs that tell; `known`: all runs there are."""
    own = {spec.digest for spec in timed.runs}
    profiles = {spec.profile for spec in timed.runs}
    done = [(row, row.spec) for row in known if row.state == "finished" and isinstance(row.spec, RunSpec)]
    mine = [(row, network_of(spec)) for row, spec in done if spec.profile in profiles]
    mine.sort(key=lambda one: one[0].run_id not in own)  # the preset's own first
    rows: dict[Network, RunRow] = {}
    measured: dict[Network, float] = {}
    for (row, network), cost in zip(mine, with_costs([row for row, _ in mine]), strict=True):
        rows.setdefault(network, row)
        if cost.get("latency_ms") is not None:
            measured.setdefault(network, float(cost["latency_ms"]))
    places = {network[:2]: network for network in map(network_of, timed.runs)}
    found: dict[Key, float | str] = {}
    for key, specs in cells.items():
        place = places.get((key, shape_of(specs[0])))
        found[key] = measured[place] if place in measured else why_not(place, rows)
    return found


def network_of(spec: RunSpec) -> Network:
    """The cell of a run, its layers and widths, and which sites are quantized."""
    return key_of(spec), shape_of(spec), str(spec.method_settings.get("sites", ""))


def why_not(network: Network | None, rows: Mapping[Network, RunRow]) -> str:
    """A clause that says why a cell has no latency."""
    if network is None:
        return f"preset `{LATENCY}` has no such run"
    row = rows.get(network)
    if row is None:
        return f"its run of preset `{LATENCY}` has not finished"
    reason = row.summary.get("integer_reason")
    if reason and row.method != "fp32":
        return str(reason).removeprefix("No integer run: ").rstrip(".")
    return f"no timing of preset `{LATENCY}` has a program of this width (`dqviz measure --preset {LATENCY}`)"
