"""`dqviz search`: blind to the test split, repeatable, resumable, the same budget for all, and plain about failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from dqviz import data
from dqviz.cli import main
from dqviz.data.task import Task
from dqviz.errors import BadInput, Cancelled, Diverged, DqvizError, Unavailable
from dqviz.jobs import network
from dqviz.jobs.search import Plan, blind, calibrated, plans, plans_of, search, space, trials
from dqviz.jobs.search.trials import ended, opened, search_cell
from dqviz.methods import METHODS
from dqviz.runs import presets, tuned
from dqviz.runs.tuned import Cell
from dqviz.runs.tuned import cells as stored
from dqviz.training import evaluate, loop, train
from dqviz.training.batches import Feed
from dqviz.training.evaluate import Score

TINY: dict[str, Any] = {"trials": 3, "epochs": 3}


def plan(method: str = "dq", **values: Any) -> Plan:
    bits = 32 if method == "fp32" else 4
    return Plan(**{"dataset": "karate", "arch": "gcn", "method": method, "bits": bits, **TINY, **values})


def found(cell: Cell) -> dict[str, Any]:
    """A cell without its time and its own words for the budget."""
    content = cell.model_dump()
    for name in ("seconds", "command", "study"):
        content["found"].pop(name)
    return content


def shapes() -> Task:
    """18 rings and stars; the class is the shape."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for index in range(18):
        ends = [(i, (i + 1) % 6) if index % 2 else (i, 0) for i in range(1, 6)]
        x = torch.rand(6, 4, generator=generator)
        graphs.append(Data(x=x, edge_index=torch.tensor(ends).t().contiguous(), y=torch.tensor([index % 2])))
    splits = {"train": torch.arange(6, 18), "val": torch.arange(3, 6), "test": torch.arange(3)}
    return Task("shapes", "graph", graphs, 4, 2, splits)


def corrupted(task: Task) -> Task:
    """Every test label is another one."""
    if task.kind == "graph":
        test = set(task.splits["test"].tolist())
        graphs = [Data(x=g.x, edge_index=g.edge_index, y=(g.y + (i in test)) % 2) for i, g in enumerate(task.graphs)]
        return replace(task, graphs=graphs)
    graph = task.graphs[0]
    y = torch.where(task.splits["test"], (graph.y + 1) % task.num_classes, graph.y)
    return replace(task, graphs=[Data(x=graph.x, edge_index=graph.edge_index, y=y)])


def karate() -> Task:
    return data.load("karate", {})


@pytest.fixture(autouse=True)
def forget() -> None:
    blind._blind.cache_clear()
    calibrated._kept.clear()


@pytest.mark.parametrize("make", [karate, shapes])
def test_a_blind_task_has_nothing_of_the_test_split(make: Callable[[], Task]) -> None:
    task = make()
    seen = blind.blind(task)
    assert set(seen.splits) == {"train", "val"}
    with pytest.raises(DqvizError, match=r"^The test split cannot be read while settings are searched\.$"):
        seen.splits["test"]
    with pytest.raises(DqvizError, match="test split"):
        evaluate(torch.nn.Identity(), Feed(seen, 4), ("test",))
    if task.kind == "node":
        assert set(seen.graphs[0].y[task.splits["test"]].tolist()) == {blind.UNKNOWN}
        for split in ("train", "val"):
            assert torch.equal(seen.graphs[0].y[task.splits[split]], task.graphs[0].y[task.splits[split]])
    else:
        kept = [task.graphs[i] for split in ("train", "val") for i in task.splits[split].tolist()]
        assert all(one is other for one, other in zip(seen.graphs, kept, strict=True))


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("make", [karate, shapes])
def test_test_labels_change_nothing(
    make: Callable[[], Task], method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for name, change in (("as it is", lambda task: task), ("corrupted", corrupted)):
        blind._blind.cache_clear()
        calibrated._kept.clear()
        monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / name))
        monkeypatch.setattr(blind, "load_task", lambda spec, change=change: change(make()))
        results.append(found(search_cell(plan(method, trials=2))))
    assert results[0] == results[1]


def test_the_corruption_would_be_seen() -> None:
    """Negative control of the test above: with the test split in sight, the scores differ."""
    scores = []
    for task in (karate(), corrupted(karate())):
        net = network.build(plan().spec({}, 1000), task)
        train(net.model, net.task, net.method, plan().spec({}, 1000).optimizer, 3)
        scores.append(evaluate(net.model, Feed(task, 8), ("test",))["test"])
    assert scores[0] != scores[1]


def test_a_search_taken_up_again_is_the_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / "whole"))
    whole = search_cell(plan(trials=7))
    monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / "parts"))
    search_cell(plan(trials=2))
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 8  # in the second trial from here

    with pytest.raises(Cancelled):
        search_cell(plan(trials=7), stop)
    with opened(plan()) as study:
        study.ask()  # as a kill -9 leaves it: running for ever
    assert found(search_cell(plan(trials=7))) == found(whole)


def test_a_search_that_is_done_trains_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = search_cell(plan())
    monkeypatch.setattr(trials, "validation_accuracy", lambda *_: pytest.fail("trained again"))
    assert search_cell(plan()) == first
    assert search_cell(plan(trials=1)).found.trials == 3, "a smaller budget takes nothing back"


def test_another_space_or_protocol_is_another_study() -> None:
    names = {one.name for one in (plan(), plan(epochs=4), plan(seeds=(1000,)), plan(bits=8), plan(sampler_seed=1))}
    assert len(names) == 5
    assert plan(trials=9).name == plan().name


def test_two_processes_never_search_one_cell(home: Path) -> None:
    with opened(plan()), pytest.raises(Unavailable, match="Another process searches karate gcn dq INT4"):
        search_cell(plan())


def test_the_first_trial_is_the_start_of_the_space(home: Path) -> None:
    cell = search_cell(plan(trials=1))
    assert cell.optimizer == {"lr": 0.01, "weight_decay": 5e-4}
    own = {"finetune": 1.0, "quantizer": "observed", "gradient": "gc", "observer": "per", "mlp": "protected",
           "p_min": 0.0, "p_max": 0.1}  # fmt: skip
    assert cell.method_settings == own
    assert set(cell.val_by_seed) == {1000, 1001}
    assert cell.val_accuracy == pytest.approx(sum(cell.val_by_seed.values()) / 2, abs=1e-6)


def test_the_second_trial_changes_what_the_space_says(home: Path) -> None:
    search_cell(plan(trials=2))
    with opened(plan(trials=2)) as study:
        first, second = (trial.params for trial in ended(study))
    assert second == first | {"method.quantizer": "lsq", "method.finetune": 0.75, "arch.dropout": 0.7}
    assert [len(space.starts(space.part_of(method))) for method in ("ptq", "fp32", "dq")] == [1, 2, 3]


def test_the_objective_is_what_a_training_reports(home: Path) -> None:
    cell = search_cell(plan("qat", trials=1))
    spec = plan("qat").spec({"optimizer": cell.optimizer, "method_settings": cell.method_settings,
                             "arch_settings": cell.arch_settings}, 1001)  # fmt: skip
    net = network.build(spec)
    trained = train(net.model, net.task, net.method, spec.optimizer, spec.epochs)
    assert trained.best.accuracy == pytest.approx(cell.val_by_seed[1001], abs=1e-6)


@pytest.mark.parametrize("method", ["ptq", "topgq"])
@pytest.mark.parametrize("observer", ["abs", "per"])
def test_calibrating_kept_weights_is_training_them(observer: str, method: str, home: Path) -> None:
    spec = plan(method).spec({"method_settings": {"observer": observer}}, 1000)
    net = network.build(spec)
    trained = train(net.model, net.task, net.method, spec.optimizer, spec.epochs)
    assert trials.validation_accuracy(spec, lambda: False) == trained.best.accuracy
    assert trials.validation_accuracy(spec, lambda: False) == trained.best.accuracy, "from kept weights"


def test_ptq_trains_as_fp32_was_found(home: Path, tmp_path: Path) -> None:
    wanted = plans("karate", ["gcn"], ["ptq", "fp32"], [8, 4], **TINY)
    assert [(one.method, one.bits) for one in wanted] == [("fp32", 32), ("ptq", 8), ("ptq", 4)]
    search(wanted, tmp_path)
    kept = stored("karate", tmp_path)
    for bits in (8, 4):
        assert kept["gcn", "ptq", bits].optimizer == kept["gcn", "fp32", 32].optimizer
        assert kept["gcn", "ptq", bits].arch_settings == kept["gcn", "fp32", 32].arch_settings
    with pytest.raises(BadInput, match="search fp32 on karate with gin as well"):
        search(plans("karate", ["gin"], ["ptq"], [8], **TINY), tmp_path)
    with pytest.raises(BadInput, match="search fp32 on karate with gin as well"):
        search(
            plans("karate", ["gin"], ["qat", "ptq"], [8], **TINY), tmp_path, tell=lambda _: pytest.fail("a trial ran")
        )


def test_a_method_without_its_fp32_stops_no_other(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_gcn(spec: Any, _stop: object) -> float:
        if spec.arch == "gcn":
            raise Diverged("diverged at epoch 2: the loss became inf.")
        return 0.25

    monkeypatch.setattr(trials, "validation_accuracy", no_gcn)
    found = search(plans("karate", ["gcn", "gin"], ["fp32", "ptq"], [8], **TINY), tmp_path)
    assert {(one.plan.arch, one.plan.method): one.error is None for one in found} == {
        ("gcn", "fp32"): False, ("gcn", "ptq"): False, ("gin", "fp32"): True, ("gin", "ptq"): True,
    }  # fmt: skip
    assert next(one.error for one in found if one.plan.method == "ptq" and one.error).startswith("ptq is trained with")


def test_folds_are_not_searched() -> None:
    """Seeds 1000 and 1001 would be folds 0 and 1, which train on graphs that final seeds are tested on."""
    with pytest.raises(BadInput, match="Settings of mutag cannot be searched: its split follows the run's seed"):
        plans("mutag", ["gin"], ["qat"], [8], **TINY)


def test_presets_that_one_search_could_not_serve() -> None:
    with pytest.raises(BadInput, match="it has several networks of cora gcn fp32"):
        plans_of("depth-cora", **TINY)
    with pytest.raises(BadInput, match="trials train profile paper, its runs integer"):
        plans_of("lowbit-latency", **TINY)


def test_a_presets_decay_of_the_rate_is_a_trials_as_well() -> None:
    sage = next(plan for plan in plans_of("lowbit-cora", **TINY) if plan.key == ("sage", "dq", 2))
    found = sage.spec({"optimizer": {"lr": 0.5}}, 1000).optimizer
    assert (found.lr, found.decay_every, found.decay) == (0.5, 25, 0.7)


def diverging(spec: Any, _stop: object) -> float:
    """All but the first trial, whose steps are observed at the space's own rate."""
    if spec.optimizer.lr != 0.01 or spec.method_settings["quantizer"] == "lsq":
        raise Diverged("diverged at epoch 0: the loss became nan.")
    return 0.5


def test_a_trial_that_diverges_is_told_and_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "validation_accuracy", diverging)
    said: list[str] = []
    cell = search_cell(plan(), tell=said.append)
    assert (cell.found.complete, cell.found.failed, cell.val_accuracy) == (1, 2, 0.5)
    assert said[1] == "karate gcn dq INT4: trial 2 of 3 failed: diverged at epoch 0: the loss became nan."


def test_nothing_finite_is_said_and_stops_no_other_cell(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def only_qat(spec: Any, _stop: object) -> float:
        if spec.method == "dq":
            raise Diverged("diverged at epoch 2: the loss became inf.")
        return 0.25

    monkeypatch.setattr(trials, "validation_accuracy", only_qat)
    where = ["--dataset", "karate", "--archs", "gcn", "--methods", "dq,qat", "--bits", "2"]
    code = main(["search", *where, "--trials", "2", "--json"])
    captured = capsys.readouterr()
    assert code == 1
    assert "The search of karate gcn dq INT2 found nothing finite in 2 trials" in captured.err
    rows = json.loads(captured.out)
    assert [(row["method"], row["val_accuracy"]) for row in rows] == [("dq", None), ("qat", 0.25)]
    assert set(stored("karate", home / "settings")) == {("gcn", "qat", 2)}


def test_every_method_gets_the_same_budget(home: Path, tmp_path: Path) -> None:
    outcomes = search(plans("karate", ["gin"], METHODS.names(), [4], **TINY), tmp_path)
    assert {outcome.cell.found.trials for outcome in outcomes if outcome.cell} == {3}
    assert len(stored("karate", tmp_path)) == len(METHODS.names())


@pytest.mark.slow
def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for jobs in (1, 2):
        monkeypatch.setenv("DQVIZ_HOME", str(tmp_path / f"home{jobs}"))
        search(plans("karate", ["gcn"], ["fp32", "qat"], [4], **TINY), tmp_path / f"out{jobs}", jobs)
        results.append({key: found(cell) for key, cell in stored("karate", tmp_path / f"out{jobs}").items()})
    assert results[0] == results[1]


def test_a_file_keeps_the_cells_of_earlier_searches(home: Path, tmp_path: Path) -> None:
    for arch in ("gcn", "gin"):
        search(plans("karate", [arch], ["qat"], [4], **TINY), tmp_path)
    assert set(stored("karate", tmp_path)) == {("gcn", "qat", 4), ("gin", "qat", 4)}
    text = (tmp_path / "karate.yaml").read_text()
    assert "--dataset karate --archs gin --methods qat --bits 4 --trials 3 --epochs 3 --seeds 1000,1001" in text


def test_the_cells_of_a_preset_are_searched_under_the_settings_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the final runs: what was searched lies over what the file gives."""
    content = {"datasets": ["karate"], "archs": ["gcn"], "methods": ["fp32", "ptq", "dq"], "bits": [4], "seeds": 10,
               "method_settings": {"dq": {"p_min": 0.1, "mask": "forward"}}, "tuned": True}  # fmt: skip
    monkeypatch.setattr(presets, "_shipped", lambda: {"small": content})
    found = {one.method: one for one in plans_of("small", **TINY)}
    assert [(one.method, one.bits) for one in found.values()] == [("fp32", 32), ("dq", 4), ("ptq", 4)]
    spec = found["dq"].spec({"method_settings": {"p_min": 0.2}, "optimizer": {"lr": 0.5}}, 1000)
    assert spec.method_settings == {"p_min": 0.2, "mask": "forward"}
    assert spec.optimizer.lr == 0.5
    assert found["dq"].command.startswith("dqviz search --preset small --trials 3")


def test_a_search_goes_on_whether_a_preset_named_its_cell_or_not() -> None:
    assert plan(preset="lowbit-cora").name == plan().name
    assert plan(given={"method_settings": {"mask": "forward"}}).name != plan().name


@pytest.mark.parametrize("method", METHODS.names())
def test_the_space_names_settings_that_the_method_has(method: str) -> None:
    part = space.part_of(method)
    settings = {
        name.partition(".")[2]: value for name, value in space.starts(part)[-1].items() if name.startswith("method.")
    }
    settings = {name: value for name, value in settings.items() if not part.method[name].added_to}
    METHODS.settings(method, settings)
    assert set(space.space().methods.get(method, space.Part()).method) <= set(METHODS[method].settings.model_fields)


def test_settings_of_a_data_set_are_searched_where_it_has_them() -> None:
    """A2Q's authors take features of 0 and 1; a search may do so too, and its cell tells presets."""
    part = space.part_of("a2q", "cora")
    assert space.starts(part)[0]["dataset.row_normalize"] is True
    assert space.starts(part)[1]["dataset.row_normalize"] is False
    assert "dataset.row_normalize" not in space.part_of("a2q", "karate").knobs()
    for method in METHODS.names():
        found = space.part_of(method, "cora")
        assert bool(found.dataset) != bool(found.trained_as), "the features belong to the training"
    chosen = {"dataset_settings": {"row_normalize": False}}
    assert plan("a2q", dataset="cora").spec(chosen, 1000).dataset_settings == {"row_normalize": False}


def test_a_method_without_an_entry_gets_the_shared_space(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = space.Space(shared=space.space().shared)
    monkeypatch.setattr(space, "space", lambda: bare)
    assert set(space.part_of("dq").knobs()) == {"optimizer.lr", "optimizer.weight_decay", "arch.dropout"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "nope"], "karate"),
        (["--dataset", "karate", "--archs", "nope"], "gcn"),
        (["--dataset", "karate", "--methods", "nope"], "qat"),
        (["--dataset", "karate", "--bits", "5"], "2, 3, 4, 8, 16, 32"),
        (["--dataset", "karate", "--bits", "eight"], "whole numbers"),
        (["--dataset", "karate", "--seeds", "0,1"], "from 100 on"),
        (["--dataset", "karate", "--trials", "0"], "at least one trial"),
        (["--dataset", "karate", "--epochs", "0"], "epochs"),
        (["--dataset", "karate", "--archs", ","], "at least one"),
        ([], "--preset"),
        (["--dataset", "karate", "--preset", "demo"], "--preset"),
        (["--preset", "nope"], "lowbit-cora"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["search", "--methods", "qat", *arguments, "--json"])
    captured = capsys.readouterr()
    assert code == 2
    assert words in json.loads(captured.out)["error"]


def judged_by(values: Callable[[float, int], float], monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Validation accuracy as a function of learning rate and seed, nothing trained; what was asked."""
    asked: list[tuple[float, int]] = []

    def accuracy(spec: Any, _stop: Any) -> float:
        asked.append((spec.optimizer.lr, spec.seed))
        return values(spec.optimizer.lr, spec.seed)

    monkeypatch.setattr(trials, "validation_accuracy", accuracy)
    return asked


def test_finalists_are_judged_on_further_seeds_and_the_lucky_one_loses(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Larger rates look better on the search seeds and are worse on the others."""
    asked = judged_by(lambda lr, seed: min(1.0, 5 * lr) if seed < 1002 else 1 - min(1.0, 9 * lr), monkeypatch)
    own = plan("qat", trials=8, finalists=3, final_seeds=(1002, 1003, 1004))
    two = search_cell(replace(own, finalists=0))
    seen = len(asked)
    cell = search_cell(own)
    rates = {lr for lr, seed in asked[seen:]}
    assert {seed for _, seed in asked[seen:]} == {1002, 1003, 1004}
    assert (len(rates), len(asked) - seen) == (3, 9)
    assert cell.optimizer["lr"] == min(rates) < two.optimizer["lr"] == max(rates)
    assert list(cell.val_by_seed) == list(cell.found.seeds) == [1000, 1001, 1002, 1003, 1004]
    assert cell.val_accuracy == pytest.approx(sum(cell.val_by_seed.values()) / 5, abs=1e-5)
    assert cell.found.command.endswith("--finalists 3 --final-seeds 1002,1003,1004")
    seen = len(asked)
    assert found(search_cell(own)) == found(cell)
    assert len(asked) == seen, "what was judged is kept"


@pytest.mark.parametrize(("rate", "stays"), [(0.2, True), (0.9, False)])
def test_what_stood_before_is_a_finalist(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float, stays: bool
) -> None:
    """The best rate is 0.2, out of the space's reach."""
    judged_by(lambda lr, seed: 1 - abs(lr - 0.2), monkeypatch)
    own = plan("qat", trials=3, finalists=2, final_seeds=(1002,))
    first = search_cell(plan("qat", trials=3))
    old = first.found.model_copy(update={"study": "before", "trials": 64})
    before = first.model_copy(update={"optimizer": {"lr": rate, "weight_decay": 0.0}, "found": old})
    tuned.write("karate", [before], tmp_path)
    (outcome,) = search([own], tmp_path)
    cell = stored("karate", tmp_path)["gcn", "qat", 4]
    assert outcome.cell == cell
    assert (cell.optimizer["lr"] == rate) == stays
    assert cell.found.study == ("before" if stays else own.name)
    assert (cell.found.spent, cell.found.seeds) == (67, (1000, 1001, 1002))


def test_what_was_found_for_kin_is_a_finalist(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate of 0.08 is the best there is; no trial of Degree-Quant meets it, QAT has it, nQAT one out of reach."""
    asked = judged_by(lambda lr, seed: 1 - abs(lr - 0.08), monkeypatch)
    for method, rate in (("qat", 0.08), ("nqat", 0.3)):
        cell = search_cell(plan(method))
        own = {**cell.method_settings, "quantizer": "lsq"}
        tuned.write("karate", [cell.model_copy(update={"optimizer": {"lr": rate}, "method_settings": own})], tmp_path)
    asked.clear()
    dq = plan(finalists=1, final_seeds=(1002,))
    search([dq], tmp_path)
    found = stored("karate", tmp_path)["gcn", "dq", 4]
    assert (found.optimizer["lr"], found.found.kin, found.found.study) == (0.08, "qat", dq.name)
    assert {name: found.method_settings[name] for name in ("quantizer", "p_min", "p_max")} == {
        "quantizer": "lsq", "p_min": 0.0, "p_max": 0.1}  # fmt: skip
    assert 0.3 not in {lr for lr, _ in asked}
    seen = len(asked)
    search([replace(dq, finalists=0)], tmp_path / "elsewhere")
    search([dq], tmp_path)
    assert stored("karate", tmp_path)["gcn", "dq", 4] == found, "it stands, and is still known for what it is"
    assert len(asked) == seen
    search([plan("fp32"), plan("ptq", finalists=1, final_seeds=(1002,))], tmp_path)
    assert not stored("karate", tmp_path)["gcn", "ptq", 4].found.kin


def test_a_winner_of_the_same_study_counts_its_trials_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in the file from fewer trials, and later ones push it out of the finalists: it is still the study's."""
    judged_by(lambda lr, seed: min(1.0, 5 * lr) if seed < 1002 else 1 - min(1.0, 9 * lr), monkeypatch)
    for trials_made in (3, 8):
        own = plan("qat", trials=trials_made, finalists=1, final_seeds=(1002, 1003, 1004))
        search([own], tmp_path)
        cell = stored("karate", tmp_path)["gcn", "qat", 4]
        assert (cell.found.study, cell.found.trials, cell.found.spent) == (own.name, trials_made, trials_made)


def test_a_finalist_that_diverges_has_nothing_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def values(_lr: float, seed: int) -> float:
        if seed == 1002:
            raise Diverged("the loss became nan")
        return 0.5

    judged_by(values, monkeypatch)
    cell = search_cell(plan("qat", trials=3, finalists=1, final_seeds=(1002,)))
    assert cell.val_by_seed == {1000: 0.5, 1001: 0.5, 1002: 0.0}


def test_seeds_of_finals_are_search_seeds() -> None:
    for seeds in ((1000,), (5,), (1002, 1002)):
        with pytest.raises(BadInput, match="Search seeds must be different numbers"):
            plans("karate", ["gcn"], ["qat"], [4], finalists=2, final_seeds=seeds)


def test_a_calibration_whose_loss_is_not_finite_is_no_trial(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Score(loss=float("nan"), accuracy=0.9)
    monkeypatch.setattr(loop, "evaluate", lambda *_: {"val": nothing})
    with pytest.raises(Diverged, match="diverged with its quantizers on: the validation loss is nan"):
        loop.validated(torch.nn.Identity(), Feed(karate(), 0))
