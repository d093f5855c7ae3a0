"""What runs cost: sizes from their summaries, latency from the measurement that they were part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dqviz.runs.rows import RunRow
from dqviz.spec import FULL_PRECISION, RunSpec

if TYPE_CHECKING:
    import pandas as pd

SIZES = ("size_bytes", "feature_bits", "tensor_bits", "feature_bytes")
"""What a training says of its network's size (dqviz.jobs.sizes)."""

Read = Callable[[str], "pd.DataFrame | None"]
"""run_id -> its table of latencies."""


SHAPE = ("layers", "hidden", "heads")
"""Settings of an architecture that change how long it takes. Others, such as dropout, may be tuned for each width."""


def shape_of(run: RunRow | RunSpec) -> tuple[Any, ...]:
    """What a run's architecture has of SHAPE."""
    return tuple(run.arch_settings.get(name) for name in SHAPE)


def family(row: RunRow) -> tuple[Any, ...]:
    """What runs have in common that were timed together: everything but their bits. They read the same features."""
    features = tuple(sorted(getattr(row.spec, "dataset_settings", {}).items()))
    return row.dataset, row.arch, row.method, row.profile, row.seed, shape_of(row), features


def together(rows: Iterable[RunRow]) -> list[list[RunRow]]:
    """Runs in groups that are timed in the same rounds: bit widths of one network, in their order."""
    found: dict[tuple[Any, ...], list[RunRow]] = {}
    for row in rows:
        found.setdefault(family(row), []).append(row)
    return list(found.values())


def latency_ms(row: RunRow, found: pd.DataFrame | None) -> float | None:
    """Median time of the whole network on the graph it was trained on, at the run's own width; None when not timed."""
    if found is None:
        return None
    precision = "fp32" if row.bits == FULL_PRECISION else f"int{row.bits}"
    mine = found[(found["op"] == row.arch) & (found["precision"] == precision) & (found["graph"] == row.dataset)]
    return float(mine["median_ms"].min()) if len(mine) else None


def with_costs(rows: Sequence[RunRow], timed: Sequence[RunRow], read: Read) -> list[dict[str, Any]]:
    """JSON rows with SIZES and latency_ms, None where unknown. `timed`: those of the rows that have a latency table."""
    own = {row.run_id: row for row in timed}
    families = {family(row): row for row in reversed(timed)}
    found = []
    for row in rows:
        source = own.get(row.run_id) or families.get(family(row))
        cost = {"latency_ms": latency_ms(row, read(source.run_id) if source else None)}
        found.append(row.row() | sizes(row) | cost)
    return found


def sizes(row: RunRow) -> dict[str, Any]:
    """What the summary says; at full precision every value has 32 bits, which a network without sites cannot tell."""
    found = {name: row.summary.get(name) for name in SIZES}
    return found | {"tensor_bits": FULL_PRECISION} if row.bits == FULL_PRECISION else found
