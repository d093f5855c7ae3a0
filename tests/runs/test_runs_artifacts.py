"""Artifacts appear all at once or not at all, and a broken disk fails loudly."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from runs_tools import claimed

from dqviz.columns import TABLES
from dqviz.errors import BadInput, Unavailable
from dqviz.runs import artifacts, steps
from dqviz.runs.job import Job
from dqviz.runs.ledger import Ledger


def metrics_table() -> pd.DataFrame:
    return pd.DataFrame({str(column): [1.0, 2.0] for column in TABLES["metrics"]})


def test_tables_and_json_come_back(tmp_path: Path) -> None:
    target = tmp_path / "artifacts"
    with artifacts.stage(target) as staging:
        artifacts.write_table(staging, "metrics", metrics_table())
        staging.write_json("summary", {"a": float("nan"), "b": [1, Path("x")]})
        staging.path("model.safetensors").write_bytes(b"1234")
        assert not target.exists()
    assert artifacts.verify(target) == []
    pd.testing.assert_frame_equal(artifacts.read_table(target, "metrics"), metrics_table())
    assert artifacts.read_json(target, "summary") == {"a": None, "b": [1, "x"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts"]


def test_damage_is_told(tmp_path: Path) -> None:
    target = tmp_path / "artifacts"
    assert artifacts.verify(target)[0].startswith("no readable manifest in artifacts")
    with artifacts.stage(target) as staging:
        staging.write_text("a", "one")
        staging.write_text("b", "two")
    (target / "a").write_text("three")
    (target / "b").unlink()
    assert artifacts.verify(target) == ["a does not match its sha256", "b is missing"]


def test_a_failing_body_leaves_nothing(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), artifacts.stage(tmp_path / "artifacts") as staging:
        staging.write_text("a", "one")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_is_published_is_never_replaced(tmp_path: Path) -> None:
    with artifacts.stage(tmp_path / "x") as staging:
        staging.write_text("a", "one")
    with pytest.raises(FileExistsError), artifacts.stage(tmp_path / "x") as staging:
        staging.write_text("a", "two")
    assert (tmp_path / "x" / "a").read_text() == "one"


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/etc/passwd", "", ".hidden", "a\0b", "C:\\x", "x" * 10_000, "\u202ex"]
)
def test_names_are_never_paths(tmp_path: Path, name: str) -> None:
    with artifacts.stage(tmp_path / "x") as staging, pytest.raises(BadInput, match="is not a file name"):
        staging.path(name)
    with pytest.raises(BadInput):
        artifacts.read_json(tmp_path, f"{name}/..")


def test_missing_things_are_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"This run has no metrics\.parquet\."):
        artifacts.read_table(tmp_path, "metrics")
    with artifacts.stage(tmp_path / "x") as staging, pytest.raises(ValueError, match=r"lacks the columns.*epoch"):
        staging.write_table("metrics", pd.DataFrame({"loss_train": [1.0]}))


def test_a_tmpdir_on_another_device_does_not_matter(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to set TMPDIR to")
    with tempfile.TemporaryDirectory(dir=shared) as elsewhere:
        monkeypatch.setenv("TMPDIR", elsewhere)
        claim = claimed(ledger)
        with Job.open(claim.run_id, 1) as job:
            job.finish({})
        assert job.state == "finished"
        assert list(Path(elsewhere).iterdir()) == []


@pytest.mark.fault
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("point", steps.STEPS)
def test_a_disk_that_refuses_fails_loudly_and_leaves_old_data_intact(ledger: Ledger, point: str, number: int) -> None:
    old = claimed(ledger, seed=1)
    with Job.open(old.run_id, 1) as job:
        job.finish({"test_accuracy": 0.5})
    new = claimed(ledger, seed=2)
    reached = []

    def refuse(here: str) -> None:
        reached.append(here)
        if here == point:
            raise OSError(number, os.strerror(number))

    steps.install(refuse)
    with Job.open(new.run_id, 1) as job:
        job.finish({"test_accuracy": 0.5})
    steps.install(None)
    row = ledger.run(new.run_id)
    if point == "commit:after":  # the promise was given before the disk refused
        assert (row.state, artifacts.verify(row.folder)) == ("finished", [])
    else:
        assert (row.state, row.error) == ("failed", os.strerror(number))
    assert point in reached
    assert not list(row.folder.parent.glob(".*staging*"))
    kept = ledger.run(old.run_id)
    assert (kept.state, kept.test_accuracy, artifacts.verify(kept.folder)) == ("finished", 0.5, [])
