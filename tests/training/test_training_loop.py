"""The loop: repeatable to the bit, also across a checkpoint; the best model; the test split; divergence; cancel."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from training_examples import graph_task, history, network, node_task, run, same_state

from dqviz import methods
from dqviz import nn as archs
from dqviz.columns import TABLES
from dqviz.errors import Cancelled, Diverged
from dqviz.methods import METHODS
from dqviz.quant import quantize, quantizers
from dqviz.quant.nodewise import NodewiseQuantizer
from dqviz.spec import Optimizer
from dqviz.training import Score, Trained, evaluate, loop, train
from dqviz.training.batches import Feed
from dqviz.training.loop import Epochs
from dqviz.training.ranges import RangeLog

TASKS = {"node": node_task, "graph": graph_task}
everywhere = pytest.mark.parametrize("kind", TASKS)
every_method = pytest.mark.parametrize("method", METHODS.names())


@everywhere
@every_method
def test_the_same_seed_gives_the_same_bits(kind: str, method: str) -> None:
    (first, one), (second, two) = (run(TASKS[kind](), method=method) for _ in range(2))
    assert history(one) == history(two)
    assert same_state(first, second)


@pytest.mark.parametrize("arch", ["gcn", "gin", "gat", "sage"])
def test_the_same_seed_on_two_threads(arch: str) -> None:
    torch.set_num_threads(2)
    try:
        (first, one), (second, two) = (run(node_task(), arch, epochs=4) for _ in range(2))
    finally:
        torch.set_num_threads(1)
    assert history(one) == history(two)
    assert same_state(first, second)


class Killed(BaseException):
    """Stands for a kill -9 after the epoch's checkpoint was written."""


@everywhere
@every_method
@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_resumed_training_is_the_uninterrupted_one(
    kind: str, method: str, killed_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", -1.0)  # a checkpoint after every epoch
    arch = "gat" if kind == "node" else "gin"
    whole, expected = run(TASKS[kind](), arch, method)

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == killed_after:
            raise Killed

    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        run(TASKS[kind](), arch, method, emit=stop, checkpoint_path=checkpoint)
    torch.manual_seed(99)
    emitted: list[dict[str, Any]] = []
    model, trained = run(TASKS[kind](), arch, method, emit=emitted.append, checkpoint_path=checkpoint)
    assert [row["epoch"] for row in emitted] == list(range(killed_after, 6))
    assert history(trained) == history(expected)
    assert (trained.best, trained.best_epoch) == (expected.best, expected.best_epoch)
    assert same_state(model, whole)
    assert model.guard.steps == whole.guard.steps
    if whole.guard.counts is not None:
        assert torch.equal(model.guard.frequency(), whole.guard.frequency())


@pytest.mark.parametrize("killed_after", [1, 3])
def test_levels_that_sites_choose_go_on_from_a_checkpoint(
    killed_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was chosen so far, and from how many batches, lies in the checkpoint."""
    monkeypatch.setattr(loop, "CHECKPOINT_S", -1.0)

    def once(**more: Any) -> Any:
        task, method = node_task(), methods.make("qat", {"quantizer": "ausn"})
        torch.manual_seed(0)
        model = quantize(archs.make("gcn", task.num_features, task.num_classes, "node", {"hidden": 8}), method, 4)
        return model, train(model, task, method, Optimizer(), 6, **more)

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == killed_after:
            raise Killed

    whole, expected = once()
    with pytest.raises(Killed):
        once(emit=stop, checkpoint_path=tmp_path / "checkpoint")
    model, trained = once(checkpoint_path=tmp_path / "checkpoint")
    assert history(trained) == history(expected)
    assert same_state(model, whole)
    assert any(name.endswith("batches") and value > 1 for name, value in model.state_dict().items())


def test_a_finished_checkpoint_only_needs_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", -1.0)
    checkpoint = tmp_path / "checkpoint"
    first, one = run(node_task(), checkpoint_path=checkpoint)
    second, two = run(node_task(), checkpoint_path=checkpoint, emit=lambda row: pytest.fail("trained again"))
    assert one.history == two.history
    assert same_state(first, second)


@everywhere
@every_method
def test_the_test_split_is_not_read(kind: str, method: str) -> None:
    run(TASKS[kind](blind=True), method=method)


def test_the_untouchable_split_is_one() -> None:
    """Negative control of the test above."""
    task = node_task(blind=True)
    model, _ = network(task)
    with pytest.raises((AssertionError, RuntimeError, TypeError, ValueError)):
        evaluate(model, Feed(task, 8), ("test",))


@everywhere
def test_rows_are_what_the_table_says(kind: str) -> None:
    rows: list[dict[str, Any]] = []
    model, trained = run(TASKS[kind](), emit=rows.append)
    assert rows == trained.history
    assert all(list(row) == list(map(str, TABLES["metrics"])) for row in rows)
    assert [row["epoch"] for row in rows] == list(range(6))
    assert not model.training


def test_best_model_by_accuracy_then_loss_then_age() -> None:
    scores = [(0.5, 1.0), (0.7, 2.0), (0.7, 1.5), (0.7, 1.5), (0.7, 1.6), (0.6, 0.1)]
    best = Trained()
    chosen = []
    for epoch, (accuracy, loss) in enumerate(scores):
        score = Score(loss, accuracy)
        if best.better(score):
            best.best, best.best_epoch = score, epoch
            chosen.append(epoch)
    assert chosen == [0, 1, 2]
    assert Trained().better(Score(1e9, 0.0)), "the first epoch is better than none"


@every_method
def test_the_best_weights_are_left_behind(method: str) -> None:
    model, trained = run(node_task(), method=method, epochs=25, lr=0.2)
    rows = [(row["accuracy_val"], -row["loss_val"]) for row in trained.history]
    chosen = METHODS[method].make(METHODS.settings(method, {}))
    final = [e for e in range(25) if chosen.state_at(e, 25) == chosen.state_at(24, 25)]
    assert trained.best_epoch == max(final, key=lambda epoch: (rows[epoch], -epoch))
    found = evaluate(model, Feed(node_task(), 8), ("val",))["val"]
    assert found == trained.best
    if not chosen.calibrates:  # its epochs are those of the float network
        assert (found.accuracy, -found.loss) == rows[trained.best_epoch]
    assert {q.state for q in quantizers(model)} == {"on"}


@everywhere
@every_method
@pytest.mark.parametrize("arch", ["gcn", "gin", "gat", "sage"])
def test_divergence_has_its_own_end(kind: str, method: str, arch: str) -> None:
    """A rate at which float32 overflows: the loss is not finite, and nothing else is raised before.

    A learned step clips infinity to its highest level, so a network of them may stay finite; then every loss is.
    """
    model, chosen = network(TASKS[kind](), arch, method, dropout=0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e30)
    if any(isinstance(module, NodewiseQuantizer) for module in model.modules()):
        with suppress(Diverged):
            trained = train(model, TASKS[kind](), chosen, Optimizer(lr=1e9, batch_size=5), 10)
            assert all(math.isfinite(row["loss_train"] + row["loss_val"]) for row in trained.history)
        return
    with pytest.raises(Diverged, match=r"^diverged at epoch \d: the (validation )?loss became (nan|inf)\.$"):
        train(model, TASKS[kind](), chosen, Optimizer(lr=1e9, batch_size=5), 10)


def test_features_that_overflow_diverge_in_the_first_epoch() -> None:
    for method in METHODS.names():
        task = node_task()
        task.graphs[0].x = (task.graphs[0].x.to_dense() if task.graphs[0].x.is_sparse_csr else task.graphs[0].x) * 3e38
        with pytest.raises(Diverged, match="epoch 0"):
            run(task, "gin", method, lr=1.0)


def test_cancel_between_two_epochs() -> None:
    rows: list[dict[str, Any]] = []
    with pytest.raises(Cancelled, match=r"^Cancelled after 3 of 6 epochs\.$"):
        run(node_task(), emit=rows.append, should_stop=lambda: len(rows) == 3)
    assert len(rows) == 3


def test_learning_rate_decays_in_steps() -> None:
    task = node_task()
    model, method = network(task)
    optimizer = Optimizer(lr=0.08, decay_every=3, decay=0.5)
    epochs = Epochs(model, task, method, optimizer, RangeLog(model, 8))
    rates = []
    for epoch in range(8):
        epochs.epoch(epoch)
        rates.append(epochs.adam.param_groups[0]["lr"])
    assert rates == pytest.approx([0.08] * 3 + [0.04] * 3 + [0.02] * 2)


def test_a_constant_rate_stays() -> None:
    task = node_task()
    model, method = network(task)
    epochs = Epochs(model, task, method, Optimizer(lr=0.08), RangeLog(model, 8))
    epochs.set_rates(10**6)
    assert epochs.adam.param_groups[0]["lr"] == 0.08


def test_training_learns_the_shapes() -> None:
    _, trained = run(graph_task(), "gin", "dq", epochs=40, lr=0.02)
    assert trained.best.accuracy == 1.0


def test_ranges_of_every_quantized_site_over_the_epochs() -> None:
    task = node_task()
    model, method = network(task, bits=4)
    log = RangeLog(model, 6)
    train(model, task, method, Optimizer(), 6, range_log=log)
    rows = log.rows()
    assert list(rows[0]) == list(map(str, TABLES["sites"]))
    assert {row["key"] for row in rows} == {q.key for q in quantizers(model)}
    for quantizer in quantizers(model):
        mine = [row for row in rows if row["key"] == quantizer.key]
        assert [row["epoch"] for row in mine] == list(range(6))
        assert all(row["bits"] == 4 for row in mine)
        assert all(a["hi"] <= b["hi"] for a, b in pairwise(mine)), "per keeps running ends"


@pytest.mark.parametrize("method", METHODS.names())
def test_the_time_to_quantize_is_kept(method: str) -> None:
    """Where a pass over the training data finds ranges; of a resumed training too."""
    chosen = METHODS[method].make(METHODS.settings(method, {}))
    _, trained = run(node_task(), method=method, epochs=3)
    assert (trained.quantize_s is not None) == (chosen.calibrates or chosen.prepares)
    assert trained.quantize_s is None or trained.quantize_s > 0


def test_quantizers_switched_on_in_training_have_their_ranges_before() -> None:
    """SGQuant: FP32 first, then a pass that takes ranges, then training with them; only those epochs can be best."""
    task = node_task()
    model, method = network(task, method="sgquant")
    log = RangeLog(model, 8)
    states, first = [], []

    def emit(row: dict[str, Any]) -> None:
        states.append({q.state for q in quantizers(model)})
        first.append([bool(q.observer.seen) for q in quantizers(model) if not q.qtype.is_float])

    trained = train(model, task, method, Optimizer(), 8, emit=emit, range_log=log)
    assert states == [{"off"}] * 4 + [{"on"}] * 4
    assert [all(seen) for seen in first] == [False] * 4 + [True] * 4
    assert trained.best_epoch >= 4
    assert {row["epoch"] for row in log.rows()} == {4, 5, 6, 7}


def test_ranges_of_ptq_are_those_of_its_calibration() -> None:
    """While its weights train no quantizer has a range: rows of zeros would be drawn as one."""
    task = node_task()
    model, method = network(task, method="ptq")
    log = RangeLog(model, 6)
    trained = train(model, task, method, Optimizer(), 6, range_log=log)
    assert {row["epoch"] for row in log.rows()} == {trained.best_epoch}
    for row, quantizer in zip(log.rows(), quantizers(model), strict=True):
        assert (row["key"], row["lo"], row["hi"]) == (quantizer.key, *quantizer.observer.range())


def test_long_trainings_keep_at_most_200_snapshots() -> None:
    model, _ = network(node_task())
    for epochs in (1, 199, 200, 201, 1000, 12345):
        every = RangeLog(model, epochs).every
        assert len(range(0, epochs, every)) <= 200
