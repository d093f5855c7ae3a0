"""What the Latency page says beside the bars: which kernels ran, and why there are no native ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dqviz.runs.rows import RunRow
from dqviz.spec import MeasureSpec
from dqviz.ui.timed import kernels_of
from dqviz.ui.timing import times_timed

MISSING = "native kernels: not built (no compiler)"


def rows(*backends: str) -> pd.DataFrame:
    return pd.DataFrame({"precision": ["fp32", *["int8"] * len(backends)], "backend": ["pyg", *backends]})


def test_the_backends_of_the_integer_rows_are_named() -> None:
    assert kernels_of(rows("native", "numba"), "") == "integer kernels: native, numba"
    assert kernels_of(rows("native", "numba"), "", "AVX2") == "integer kernels: native (AVX2), numba"
    assert kernels_of(rows("numba"), MISSING) == f"{MISSING}, integer kernels of this timing: numba"
    assert kernels_of(rows(), "") == ""
    assert kernels_of(rows(), MISSING) == f"{MISSING}, integer kernels of this timing: none"


def test_who_asks_for_a_timing_once_more_gets_a_new_one() -> None:
    asked = MeasureSpec(target="a", repeats=7)
    done = [RunRow(spec.digest, "measure", "finished", spec, Path())
            for spec in (asked, MeasureSpec(target="a"), asked.model_copy(update={"again": 1}))]  # fmt: skip
    assert [times_timed(done[:some], asked) for some in range(4)] == [0, 1, 1, 2]
    assert asked.model_copy(update={"again": 2}).digest not in {row.run_id for row in done}
