"""`dqviz bench training`: one row a method beside plain PyG, node and graph tasks; bad input lists the choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dqviz.cli import main

ROWS = [("pyg", "fp32", "fp32"), ("dqviz", "fp32", "fp32"), ("dqviz", "qat", "int8"), ("dqviz", "qat", "int4"),
        ("dqviz", "dq", "int8"), ("dqviz", "dq", "int4")]  # fmt: skip
SHORT = ("--repeats", "1", "--force", "--json")


@pytest.mark.parametrize(("dataset", "arch", "graphs"), [("karate", "gat", 1), ("mutag", "gin", 188)])
def test_rows(home: Path, capsys: pytest.CaptureFixture[str], dataset: str, arch: str, graphs: int) -> None:
    assert main(("bench", "training", "--graph", dataset, "--arch", arch, *SHORT)) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["backend"], row["method"], row["precision"]) for row in rows] == ROWS
    assert {row["op"] for row in rows} == {f"epoch-{arch}"}
    assert all(row["num_nodes"] >= graphs for row in rows)
    pyg, fp32, *_ = (row["median_ms"] for row in rows)
    for row in rows:
        assert row["speedup_pyg"] == pytest.approx(pyg / row["median_ms"])
        assert row["of_fp32"] == pytest.approx(row["median_ms"] / fp32)


def test_a_node_task_times_three_architectures(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("bench", "training", "--graph", "karate", *SHORT)) == 0
    ops = [row["op"] for row in json.loads(capsys.readouterr().out)]
    assert list(dict.fromkeys(ops)) == ["epoch-gcn", "epoch-gin", "epoch-gat"]


@pytest.mark.parametrize("arguments", [("--arch", "mlp"), ("--arch", "appnp"), ("--graph", "nowhere")])
def test_bad_input_ends_with_code_2(home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert main(("bench", "training", *arguments, "--force")) == 2
    assert "choose one of" in capsys.readouterr().err
