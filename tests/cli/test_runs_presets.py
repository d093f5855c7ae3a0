"""Presets and study files: what they hold, and one sentence for what cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

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
        ("dq-mnist", 150),
        ("lowbit-cora", 440),
        ("lowbit-citeseer", 410),
        ("lowbit-latency", 91),
        ("lowbit-pubmed", 400),
        ("dq-reddit-binary", 50),
        ("one-site", 270),
        ("observers", 60),
        ("ablation", 330),
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


def cell(method: str = "dq", bits: int = 4, val: float = 0.5, lr: float = 1e-3, **found: Any) -> tuned.Cell:
    own = {} if method == "fp32" else {"observer": "per"}
    return tuned.Cell(arch="gcn", method=method, bits=bits, val_accuracy=val, val_by_seed={1000: val},
                      optimizer={"lr": lr}, method_settings=own, found=tuned.Found(**FOUND | found))  # fmt: skip


def test_a_cell_keeps_what_was_better_and_counts_all_trials(tmp_path: Path) -> None:
    def stored() -> tuple[float, str, int]:
        one = tuned.cells("cora", tmp_path)["gcn", "dq", 4]
        return one.val_accuracy, one.found.study, one.found.spent

    for found, expected in [
        (cell(val=0.6, study="a", trials=24), (0.6, "a", 24)),
        (cell(val=0.5, study="b", trials=12), (0.6, "a", 36)),
        (cell(val=0.5, study="b", trials=12), (0.6, "a", 36)),  # the same study again
        (cell(val=0.6, study="b", trials=13), (0.6, "a", 37)),  # it went on; as good is no reason to change
        (cell(val=0.7, study="b", trials=16), (0.7, "b", 40)),
        (cell(val=0.65, study="a", trials=64), (0.7, "b", 80)),
        (cell(val=0.75, study="a", trials=24), (0.75, "a", 80)),  # begun anew elsewhere: its 64 were made
        (cell(val=0.1, study="c", trials=5, seeds=[1001]), (0.1, "c", 5)),  # not judged alike
    ]:
        tuned.write("cora", [found], tmp_path)
        assert stored() == expected
    assert "earlier" not in (tmp_path / "cora.yaml").read_text()


def test_what_is_calibrated_goes_with_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PTQ and TopGQ are trained with the settings of FP32, searched or not; a percentile belongs to one network."""
    shutil.copy(tuned.settings_dir() / "space.yaml", tmp_path)
    monkeypatch.setattr(tuned, "settings_dir", lambda: tmp_path)
    tuned.write("cora", [cell("fp32", 32), cell("ptq"), cell("dq")], tmp_path)
    assert set(tuned.cells("cora", tmp_path)) == {("gcn", "fp32", 32), ("gcn", "ptq", 4), ("gcn", "dq", 4)}
    study = study_of({**BASE, "methods": ["fp32", "ptq", "topgq"], "bits": [8, 4], "tuned": True})
    assert {run.optimizer.lr for run in study.runs} == {1e-3}
    assert {run.bits: run.method_settings for run in study.runs if run.method == "ptq"} == {
        8: {},
        4: {"observer": "per"},
    }
    tuned.write("cora", [cell("fp32", 32, val=0.4, lr=0.5, study="worse")], tmp_path)
    assert ("gcn", "ptq", 4) in tuned.cells("cora", tmp_path)
    tuned.write("cora", [cell("fp32", 32, val=0.9, lr=0.5, study="better")], tmp_path)
    assert set(tuned.cells("cora", tmp_path)) == {("gcn", "fp32", 32), ("gcn", "dq", 4)}
    tuned.write("cora", [cell("ptq", lr=0.5, val=0.2)], tmp_path)
    assert tuned.cells("cora", tmp_path)["gcn", "ptq", 4].val_accuracy == 0.2


@pytest.mark.parametrize("dataset", ["cora", "citeseer"])
def test_shipped_baselines_are_searched_as_much_as_degree_quant(dataset: str) -> None:
    """And what is calibrated has the network of the FP32 cell."""
    known = tuned.cells(dataset)
    for (arch, method, bits), own in known.items():
        rival = known.get((arch, "dq", bits))
        if method in ("ptq", "qat", "nqat") and rival:
            assert own.found.spent >= rival.found.spent, (arch, method, bits)
        if tuned.trained_as(method):
            assert own.network == known[arch, "fp32", 32].network, (arch, method, bits)


@pytest.mark.parametrize("text", ["cells: 1", "cells: [1]", "cells: [{arch: gcn}]", "- 1"])
def test_a_settings_file_that_does_not_fit_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "cora.yaml").write_text(text)
    with pytest.raises(BadInput, match="cora") as caught:
        tuned.cells("cora", tmp_path)
    assert "\n" not in str(caught.value)
