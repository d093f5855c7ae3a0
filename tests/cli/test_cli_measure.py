"""`dqviz measure`: which runs are timed together, and a study of real runs timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dqviz.cli import main
from dqviz.runs.costs import together
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import RunRow
from dqviz.spec import RunSpec

STUDY = {"name": "Timed", "datasets": ["karate"], "archs": ["gcn"], "methods": ["fp32", "qat", "sgquant"],
         "bits": [8, 4], "seeds": 2, "epochs": 2, "profile": "integer"}  # fmt: skip


def row(**given: object) -> RunRow:
    spec = RunSpec(**({"dataset": "cora", "arch": "gcn", "method": "qat"} | given))
    return RunRow(spec.digest, "train", "finished", spec, Path())


def test_widths_of_one_network_are_timed_together() -> None:
    """What is tuned apart from its shape does not part them; features do, for each reads those it was trained on."""
    rows = [row(bits=8), row(bits=4, arch_settings={"dropout": 0.3}), row(bits=2, arch_settings={"hidden": 64}),
            row(bits=3, dataset_settings={"row_normalize": False}), row(bits=8, method="dq")]  # fmt: skip
    assert [[run.bits for run in group] for group in together(rows)] == [[8, 4], [2], [3], [8]]


@pytest.mark.slow
def test_a_study_is_timed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    assert main(["study", "start", str(tmp_path / "study.yaml"), "--wait", "--json"]) == 0
    study_id = json.loads(capsys.readouterr().out)["study_id"]
    command = ["measure", study_id, "--threads", "1", "--repeats", "5", "--force", "--json"]
    assert main(command) == 0
    found = {(one["method"], one["bits"]): one for one in json.loads(capsys.readouterr().out)}
    assert len(found) == 5, "the first seed"
    assert all(found[cell]["latency_ms"] > 0 for cell in (("fp32", 32), ("qat", 8), ("qat", 4)))
    assert found["sgquant", 8]["why_not"].startswith("No integer run: site")
    assert len(Ledger().measures()) == 2
    assert main(command) == 0
    assert len(Ledger().measures()) == 2, "what was timed stays"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "lowbit-latency"), (["x", "--preset", "demo"], "lowbit-latency"), (["--preset", "nope"], "lowbit-latency"),
     (["nope"], "nope"), (["--preset", "lowbit-latency", "--repeats", "1"], "repeats")],
)  # fmt: skip
def test_bad_input_names_the_choices(
    home: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not Ledger().studies(), "nothing is stored"


def test_a_study_without_a_finished_run_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    assert main(["study", "start", str(tmp_path / "study.yaml"), "--json"]) == 0
    study_id = json.loads(capsys.readouterr().out)["study_id"]
    assert main(["measure", study_id]) == 2
    assert "no finished run to time" in capsys.readouterr().err
