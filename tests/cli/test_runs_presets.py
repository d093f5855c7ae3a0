"""Presets and study files: what they hold, and one sentence for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dqviz.errors import BadInput
from dqviz.runs import tuned
from dqviz.runs.presets import preset, presets, read_study, study_of

BASE = {"datasets": ["cora"], "archs": ["gcn"], "methods": ["fp32", "dq"]}


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("cora-quick", 75),
        ("dq-cora", 390),
        ("dq-citeseer", 390),
        ("dq-pubmed", 390),
        ("dq-mnist", 75),
        ("lowbit-cora", 410),
        ("lowbit-citeseer", 380),
        ("lowbit-latency", 44),
        ("lowbit-pubmed", 370),
        ("dq-reddit-binary", 50),
        ("one-site", 270),
        ("observers", 60),
        ("node-bits", 100),
        ("depth-cora", 180),
    ],
)
def test_presets_hold_what_they_say(name: str, runs: int) -> None:
    assert len(preset(name).runs) == runs


def test_every_preset_has_a_summary() -> None:
    assert all(summary.endswith(".") for summary in presets().values())
    assert {"demo", "cora-quick", "dq-cora", "dq-citeseer", "dq-reddit-binary"} <= set(presets())


def test_a_preset_nobody_wrote_lists_the_choices() -> None:
    with pytest.raises(BadInput, match="cora-quick, demo"):
        preset("nope")


def test_reddit_has_the_authors_settings() -> None:
    """METHODS 1.6, the table of the authors' scripts."""
    runs = preset("dq-reddit-binary").runs
    found = {(r.method, r.bits): (r.optimizer.lr, r.optimizer.weight_decay) for r in runs}
    assert found == {
        ("fp32", 32): (5e-3, 2e-4), ("dq", 8): (5e-3, 2e-4), ("qat", 8): (5e-3, 2e-4), ("dq", 4): (1e-3, 4e-5),
        ("qat", 4): (5e-2, 4e-5),
    }  # fmt: skip
    assert {r.method_settings["p_max"] for r in runs if r.method == "dq" and r.bits == 4} == {0.2}
    assert {r.optimizer.decay_every for r in runs} == {50}
    assert {r.seed for r in runs} == set(range(10))


def test_full_precision_is_one_run_a_seed_whatever_the_bits() -> None:
    study = study_of({**BASE, "bits": [8, 4], "seeds": 3})
    assert sum(run.method == "fp32" for run in study.runs) == 3
    assert len(study.runs) == 9


def test_parts_inherit_and_override() -> None:
    study = study_of({**BASE, "optimizer": {"lr": 0.1, "weight_decay": 0.2}, "parts": [
        {"methods": ["fp32"]}, {"methods": ["dq"], "optimizer": {"lr": 0.3}}]})  # fmt: skip
    assert {(r.method, r.optimizer.lr, r.optimizer.weight_decay) for r in study.runs} == {
        ("fp32", 0.1, 0.2), ("dq", 0.3, 0.2)}  # fmt: skip


def test_depths_are_laid_over_the_settings_of_architectures() -> None:
    study = study_of({**BASE, "methods": ["dq"], "arch_settings": {"hidden": 8}, "depths": [2, 64]})
    assert [run.arch_settings for run in study.runs] == [{"hidden": 8, "layers": 2}, {"hidden": 8, "layers": 64}]
    assert len({run.digest for run in study_of({**BASE, "depths": [2, 2, 4]}).runs}) == 2 * 2


def test_the_depth_study_trains_every_cell_at_every_depth() -> None:
    cells: dict[tuple[object, ...], list[object]] = {}
    for run in preset("depth-cora").runs:
        cells.setdefault((run.arch, run.method, run.bits, run.seed), []).append(run.arch_settings["layers"])
    assert len(cells) == 2 * (3 * 4 + 3)
    assert all(depths == [2, 4, 8, 16, 32, 64] for depths in cells.values())


def test_listed_runs_come_back_as_they_were(tmp_path: Path) -> None:
    study = study_of({**BASE, "optimizer": {"lr": 1e-5}, "method_settings": {"dq": {"p_max": 1e-5}}})
    file = tmp_path / "study.json"
    file.write_text(json.dumps({"name": "again", "runs": [run.model_dump(mode="json") for run in study.runs]}))
    assert read_study(file).runs == study.runs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": []}, "Choose at least one method"),
        ({"archs": []}, "Choose at least one architecture"),
        ({"bits": []}, "Choose at least one bit width"),
        ({"seeds": 0}, "Choose at least one seed"),
        ({"depths": 4}, "depths"),
        ({"depths": ["deep"]}, "depths"),
        ({"bits": [5]}, "choose one of 2, 3, 4, 8, 16, 32"),
        ({"bits": ["eight"]}, "bits"),
        ({"optimizer": {"lr": -0.1}}, "greater than 0"),
        ({"optimizer": {"lr": float("nan")}}, "lr"),
        ({"epochs": 0}, "epochs"),
        ({"lr": 0.1}, "choose one of"),
        ({"datasets": "cora"}, "datasets"),
        ({"profile": "fast"}, "paper"),
        ({"method_settings": {"qat": {}}}, "methods do not list"),
        ({"parts": {"methods": ["dq"]}}, "parts"),
        ({"parts": []}, None),
        ({"runs": [1]}, "runs"),
        ({"runs": []}, "runs"),
        ({"runs": [{"dataset": "cora"}]}, "arch"),
        ({"name": "x" * 200}, "name"),
    ],
)
def test_what_does_not_fit_is_one_sentence(change: dict[str, object], words: str | None) -> None:
    if words is None:
        assert study_of({**BASE, **change}).runs
        return
    with pytest.raises(BadInput, match=words) as caught:
        study_of({**BASE, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "1: 2", "\x00", "&a [*a]", "!!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_study_is_one_sentence(text: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_study(file)
    assert "\n" not in str(caught.value)


def test_the_tables_hold_every_cell_once_a_seed() -> None:
    for name in ("dq-cora", "dq-citeseer", "dq-pubmed"):
        runs = preset(name).runs
        cells = {(r.arch, r.method, r.bits) for r in runs}
        assert len(cells) == 3 * (1 + 4 * 3)
        assert {r.seed for r in runs} == set(range(10))
        assert len({(r.arch, r.method, r.bits, r.seed) for r in runs}) == len(runs)


FOUND = {"study": "s", "trials": 2, "complete": 1, "pruned": 1, "failed": 0, "seeds": [1000], "sampler_seed": 0,
         "epochs": 9, "seconds": 1.5, "command": "dqviz search"}  # fmt: skip


def test_a_tuned_study_takes_what_was_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The found settings lie over the file's; a cell that was not searched keeps the file's."""
    cell = tuned.Cell(arch="gcn", method="dq", bits=4, val_accuracy=0.5, val_by_seed={1000: 0.5},
                      optimizer={"lr": 1e-5}, arch_settings={"dropout": 0.2}, method_settings={"p_max": 0.3},
                      dataset_settings={"row_normalize": False}, found=tuned.Found(**FOUND))  # fmt: skip
    tuned.write("cora", [cell], tmp_path)
    assert tuned.cells("cora", tmp_path) == {("gcn", "dq", 4): cell}
    monkeypatch.setattr(tuned, "settings_dir", lambda: tmp_path)
    study = study_of({**BASE, "bits": [8, 4], "tuned": True, "optimizer": {"weight_decay": 0.5},
                      "method_settings": {"dq": {"p_min": 0.1, "p_max": 0.2}}})  # fmt: skip
    four = next(r for r in study.runs if r.bits == 4)
    assert (four.optimizer.lr, four.optimizer.weight_decay) == (1e-5, 0.5)
    assert four.arch_settings == {"dropout": 0.2}
    assert four.method_settings == {"p_min": 0.1, "p_max": 0.3}
    assert four.dataset_settings == {"row_normalize": False}
    eight = next(r for r in study.runs if r.bits == 8)
    assert eight.dataset_settings == {}
    assert (eight.optimizer.lr, eight.arch_settings, eight.method_settings["p_max"]) == (0.01, {}, 0.2)
    assert study_of({**BASE, "bits": [4]}).runs[-1].optimizer.lr == 0.01, "only where the file asks for it"


@pytest.mark.parametrize("text", ["cells: 1", "cells: [1]", "cells: [{arch: gcn}]", "- 1"])
def test_a_settings_file_that_does_not_fit_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "cora.yaml").write_text(text)
    with pytest.raises(BadInput, match="cora") as caught:
        tuned.cells("cora", tmp_path)
    assert "\n" not in str(caught.value)
