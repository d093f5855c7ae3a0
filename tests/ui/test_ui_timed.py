"""What the Latency page says beside the bars: which kernels ran, and why there are no native ones."""

from __future__ import annotations

import pandas as pd

from dqviz.ui.timed import kernels_of

MISSING = "native kernels: not built (no compiler)"


def rows(*backends: str) -> pd.DataFrame:
    return pd.DataFrame({"precision": ["fp32", *["int8"] * len(backends)], "backend": ["pyg", *backends]})


def test_the_backends_of_the_integer_rows_are_named() -> None:
    assert kernels_of(rows("native", "numba"), "") == "integer kernels: native, numba"
    assert kernels_of(rows("native", "numba"), "", "AVX2") == "integer kernels: native (AVX2), numba"
    assert kernels_of(rows("numba"), MISSING) == f"{MISSING}, integer kernels of this timing: numba"
    assert kernels_of(rows(), "") == ""
    assert kernels_of(rows(), MISSING) == f"{MISSING}, integer kernels of this timing: none"
