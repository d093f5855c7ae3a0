"""How a job ends other than well, the job as a program of its own, and a split for each seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs_runs import execute, row_of, spec, submitted

from dqviz.jobs import network
from dqviz.jobs.train import output_error
from dqviz.methods import METHODS
from dqviz.runs import artifacts
from dqviz.runs.engines import Local
from dqviz.runs.ledger import Ledger
from dqviz.runs.worker import Worker
from dqviz.spec import Study
from dqviz.training.batches import Batch

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("method", ["fp32", "ptq", "qat", "nqat", "dq", "sgquant", "topgq"])
def test_a_diverging_run_fails_with_one_sentence(home: Path, method: str) -> None:
    row = execute(spec("gin", method, epochs=60, optimizer={"lr": 1e9}))
    assert row.state == "failed"
    assert row.error is not None
    assert row.error.startswith("diverged at epoch ")
    assert "\n" not in row.error
    assert not row.folder.exists(), "a failed run publishes nothing"
    json.dumps(row.row(), allow_nan=False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "corra"}, "cora"),
        ({"arch": "mlp"}, "gat, gcn, gin, sage"),
        ({"method": "none"}, ", ".join(sorted(METHODS.names()))),
        ({"method_settings": {"p_min": 0.9}}, "p_min must not be above p_max"),
        ({"bits": {"9/message": 4}}, "9/message"),
    ],
)
def test_what_the_registries_do_not_know_fails_with_the_choices(home: Path, values: dict, words: str) -> None:
    row = execute(spec(**values))
    assert row.state == "failed"
    assert row.error is not None
    assert words in row.error
    assert "\n" not in row.error


@pytest.mark.slow
def test_the_job_as_a_program(home: Path) -> None:
    wanted = spec("gcn", "qat")
    run_id, attempt = submitted(wanted)
    command = [sys.executable, "-m", "dqviz.jobs", run_id, str(attempt)]
    options = {"cwd": ROOT, "env": dict(os.environ), "capture_output": True, "text": True, "timeout": 240}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    row = row_of(run_id)
    assert row.state == "finished"
    assert artifacts.verify(row.folder) == []
    again = subprocess.run(command, check=False, **options)
    assert again.returncode != 0, "a settled run is not run again"
    assert row_of(run_id).state == "finished"


@pytest.mark.parametrize("method", ["dq", "ptq"])
def test_the_same_spec_gives_the_same_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    folders = []
    for name in ("one", "two"):
        monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / name))
        folders.append(execute(spec("gin", method)).folder)
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()
    for table in ("nodes", "degree", "histograms", "quantiles", "ranges", "growth", "accuracy", "sites"):
        first, second = (artifacts.read_table(folder, table) for folder in folders)
        assert first.equals(second), table


def test_a_split_seed_of_minus_one_draws_a_split_for_each_run() -> None:
    def train_nodes(seed: int, split_seed: int) -> list[int]:
        task = network.load_task(spec(seed=seed, dataset_settings={"split_seed": split_seed}))
        return task.splits["train"].nonzero().flatten().tolist()

    assert train_nodes(1, 0) == train_nodes(2, 0)
    assert train_nodes(1, -1) != train_nodes(2, -1)


def test_output_error_by_hand() -> None:
    batch = Batch(torch.zeros(3, 1), torch.zeros(2, 0), None, torch.zeros(3), torch.arange(3))
    found = output_error(torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]),
                         torch.tensor([[0.0, 4.0], [1.0, 0.0], [0.0, 0.0]]), batch)  # fmt: skip
    assert found[:2].tolist() == [0.75, 0.0]
    assert np.isnan(found[2]), "no signal, no relative error"


@pytest.mark.slow
def test_a_forged_job_leaves_the_same_artifacts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training forked from a forge writes equals to the byte what a process of its own writes."""
    monkeypatch.setenv("DQVIZ_HOME", str(home / "anew"))
    alone = execute(spec("gat", "dq"))
    monkeypatch.setenv("DQVIZ_HOME", str(home / "forged"))
    ledger = Ledger()
    ledger.submit(Study(name="a study", runs=(spec("gat", "dq"), spec("gat", "dq", seed=1))))
    engine = Local(forge=True)
    worker = Worker(ledger, engine, retry_pause_s=1e9)
    worker.run(lambda: not ledger.active())
    forged = ledger.run(alone.run_id)
    assert forged.state == "finished", ledger.log_tail(forged.run_id)
    assert engine._forges is not None
    assert not engine._forges._barren, "it was forked"
    for path in alone.folder.iterdir():
        if path.suffix != ".json" and path.name != "metrics.parquet":  # those hold times
            assert path.read_bytes() == (forged.folder / path.name).read_bytes(), path.name
    ledger.close()
