"""`dqviz bench` as a script runs it, and what stands where there is no native library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dqviz.cli import main
from dqviz.cli.bench import numbers
from dqviz.errors import BadInput

KEYS = {"op", "backend", "precision", "graph", "num_nodes", "num_edges", "features", "threads", "median_ms", "p10_ms",
        "p90_ms", "repeats", "exact", "bytes_moved"}  # fmt: skip
SHORT = ("--threads", "1", "--repeats", "5", "--force")


def test_rows_on_stdout_machine_and_load_on_stderr(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(("bench", "kernels", "--graph", "cora", "--bits", "8", "--features", "8", *SHORT, "--json"))
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert code == 0
    assert all(set(row) >= KEYS for row in rows)
    assert {row["precision"] for row in rows} == {"fp32", "int8"}
    assert all(row["speedup"] is not None for row in rows if row["op"] in ("spmm", "gemm"))
    assert "cpu " in err
    assert "torch 2" in err
    assert "load before:" in err
    assert "load after:" in err


def test_a_person_gets_a_table_with_speedups(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(("bench", "inference", "--graph", "cora", "--arch", "gcn", "--bits", "8", *SHORT))
    out = capsys.readouterr().out
    assert code == 0
    assert {"speedup", "speedup_pyg", "bandwidth_share"} <= set(out.splitlines()[0].split())


@pytest.mark.parametrize("arguments", [("--threads", "two"), ("--bits", "8;4"), ("--graph", "nowhere"),
                                       ("--threads", "1,9999")])  # fmt: skip
def test_bad_input_ends_with_code_2(arguments: tuple[str, str], home: Path) -> None:
    assert main(("bench", "kernels", "--graph", "cora", *arguments, "--force")) == 2


def test_lists_of_numbers() -> None:
    assert numbers("1,2") == (1, 2)
    assert numbers("8, 8") == (8,)
    with pytest.raises(BadInput, match="not a list of whole numbers"):
        numbers("")


def test_without_a_native_library_doctor_says_so_and_numba_does_the_work(home: Path, tmp_path: Path) -> None:
    """In a process of its own that looks for the library in an empty folder."""
    timed = ("bench", "kernels", "--graph", "heavy-1k", "--bits", "8", "--features", "8", *SHORT, "--json")
    script = f"from dqviz.cli import main; main(['doctor']); print('ROWS'); main({list(timed)})"
    environment = os.environ | {"DQVIZ_NATIVE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    doctor, _, rows = done.stdout.partition("ROWS")
    assert "native kernels: not built (no compiler)" in doctor
    used = {(row["precision"], row["backend"]) for row in json.loads(rows)}
    assert ("int8", "numba") in used
    assert ("fp32", "numba") in used
    assert "native" not in {backend for _, backend in used}
