"""What runs cost: sizes of a summary, latency at a run's own width, from its own measurement or that of its family."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dqviz.runs.costs import SIZES, latency_ms, with_costs
from dqviz.runs.rows import RunRow
from dqviz.spec import RunSpec

TABLE = pd.DataFrame(
    [("smp", "int8", "cora", 2.0), ("smp", "int8", "cora", 1.0), ("smp", "fp32", "cora", 4.0),
     ("smp", "int8", "arxiv-size", 0.1), ("spmm", "int8", "cora", 0.1)],
    columns=["op", "precision", "graph", "median_ms"],
)  # fmt: skip


def run(bits: int = 8, seed: int = 0, **summary: float) -> RunRow:
    spec = RunSpec(dataset="cora", arch="smp", method="qlr", bits=bits, seed=seed)
    return RunRow(spec.digest, "train", "finished", spec, Path(), summary=summary)


@pytest.mark.parametrize(("bits", "expected"), [(8, 1.0), (32, 4.0), (4, None)])
def test_the_fastest_backend_at_the_runs_width_on_its_graph(bits: int, expected: float | None) -> None:
    assert latency_ms(run(bits), TABLE) == expected
    assert latency_ms(run(bits), None) is None


def test_a_run_of_another_width_was_timed_in_the_same_rounds() -> None:
    timed, other, later = run(32), run(8, feature_bits=8.0, size_bytes=7.0), run(8, seed=1)
    rows = with_costs([timed, other, later], [timed], lambda run_id: TABLE if run_id == timed.run_id else None)
    assert [row["latency_ms"] for row in rows] == [4.0, 1.0, None]
    assert (rows[1]["feature_bits"], rows[1]["size_bytes"], rows[1]["tensor_bits"]) == (8.0, 7.0, None)
    assert set(SIZES) <= set(rows[2])
    assert (rows[0]["tensor_bits"], rows[0]["feature_bits"]) == (32, None)


def test_a_network_of_another_depth_was_not_timed() -> None:
    """Its dropout may have been tuned for its width; that changes no time."""
    timed, deeper, tuned = (
        RunRow(str(at), "train", "finished", spec, Path())
        for at, spec in enumerate(run(8).spec.model_copy(update={"arch_settings": settings}) for settings in (
            {"layers": 2}, {"layers": 64}, {"layers": 2, "dropout": 0.1}))
    )  # fmt: skip
    rows = with_costs([timed, deeper, tuned], [timed], lambda _: TABLE)
    assert [row["latency_ms"] for row in rows] == [1.0, None, 1.0]
