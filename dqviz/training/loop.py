"""The training loop: one protocol for every method (METHODS section 0).

Adam, the model of the best validation accuracy (ties: lower validation loss); the test split is never touched here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dqviz.data.task import Task
from dqviz.errors import Cancelled, Diverged
from dqviz.methods import Method
from dqviz.quant.convert import set_state
from dqviz.quant.quantizer import State
from dqviz.spec import Optimizer
from dqviz.training import checkpoint
from dqviz.training.batches import Batch, Feed
from dqviz.training.evaluate import Score, evaluate
from dqviz.training.ranges import RangeLog

Emit = Callable[[dict[str, Any]], None]
CHECKPOINT_S = 10.0
NOTHING = Score(math.inf, -1.0)
"""The score before the first epoch: worse than any."""


@dataclass
class Trained:
    """What a training leaves beside the model, which holds its best weights."""

    best_epoch: int = -1
    best: Score = NOTHING
    history: list[dict[str, Any]] = field(default_factory=list)
    quantize_s: float | None = None
    """Seconds of the pass that found ranges (and whatever a method makes of them); None without one."""

    def better(self, score: Score) -> bool:
        return (score.accuracy, -score.loss) > (self.best.accuracy, -self.best.loss)


def train(
    model: nn.Module,
    task: Task,
    method: Method,
    optimizer: Optimizer,
    epochs: int,
    *,
    emit: Emit = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_path: Path | None = None,
    range_log: RangeLog | None = None,
) -> Trained:
    """Trains `model` in place and leaves it with its best weights, quantizers on, in evaluation mode.

    `emit` gets one row an epoch (TABLES['metrics']). Raises Diverged when the loss is not finite, Cancelled when
    `should_stop` says so between two epochs. Goes on from `checkpoint_path` where a checkpoint lies there.
    """
    run = Epochs(model, task, method, optimizer, range_log or RangeLog(model, epochs), epochs)
    first = run.resume(checkpoint_path)
    saved_at = time.monotonic()
    for epoch in range(first, epochs):
        if should_stop():
            raise Cancelled(f"Cancelled after {epoch} of {epochs} epochs.")
        emit(run.epoch(epoch))
        if checkpoint_path is not None and time.monotonic() - saved_at > CHECKPOINT_S:
            run.save(checkpoint_path)
            saved_at = time.monotonic()
    return run.close()


class Epochs:
    """State of one training between epochs."""

    def __init__(
        self, model: nn.Module, task: Task, method: Method, optimizer: Optimizer, ranges: RangeLog, epochs: int = 1
    ) -> None:
        self.model, self.method, self.settings, self.ranges = model, method, optimizer, ranges
        self.epochs = epochs
        self.feed = Feed(task, optimizer.batch_size, method.batch_nodes)
        groups = method.parameter_groups(model, optimizer.lr, optimizer.weight_decay)
        self.adam = torch.optim.Adam(groups, fused=True)
        self.rates = [group["lr"] for group in self.adam.param_groups]
        self.trained = Trained()
        self.modules = list(model.modules())
        self.state = model.state_dict()  # the tensors themselves: training changes them in place
        self.best_state: dict[str, Any] = {}
        self.quantizer_state: State = "off"
        set_state(model, "off")

    def epoch(self, epoch: int) -> dict[str, Any]:
        """Trains and validates once; the row of TABLES['metrics']."""
        self.turn_to(epoch)
        start = time.perf_counter()
        self.set_rates(epoch)
        train_score = self.steps(epoch)
        splits = ("train", "val") if self.feed.task.kind == "node" else ("val",)
        self.set_training(False)
        scores = evaluate(self.model, self.feed, splits)
        train_score = scores.get("train", train_score)
        self.keep_best(epoch, scores["val"])
        if self.quantizer_state == "on":  # else there are no ranges yet
            self.ranges.take(epoch)
        row = {
            "epoch": epoch,
            "loss_train": train_score.loss, "loss_val": scores["val"].loss,
            "accuracy_train": train_score.accuracy, "accuracy_val": scores["val"].accuracy,
            "epoch_ms": (time.perf_counter() - start) * 1e3,
        }  # fmt: skip
        self.trained.history.append(row)
        return row

    def turn_to(self, epoch: int) -> None:
        """The quantizers' state of this epoch; those switched on may take their ranges first."""
        state = self.method.state_at(epoch, self.epochs)
        if state == self.quantizer_state:
            return
        if self.method.prepares and state == "on":
            self.trained.quantize_s = calibrate(self.model, self.method, self.feed)
        self.quantizer_state = state
        set_state(self.model, state)

    def set_rates(self, epoch: int) -> None:
        s = self.settings
        factor = s.decay ** (epoch // s.decay_every) if s.decay_every else 1.0
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def set_training(self, training: bool) -> None:
        """As `model.train()`, which took an eighth of a small graph's epoch: 80 modules, and a check of each value."""
        for module in self.modules:
            module.__dict__["training"] = training

    def steps(self, epoch: int) -> Score:
        """All training steps of an epoch; loss and accuracy as seen while training."""
        self.set_training(True)
        loss_sum = hits = count = 0.0
        for batch in self.feed.training():
            loss, correct = self.step(batch, epoch)
            size = batch.scored.numel()
            loss_sum, hits, count = loss_sum + loss * size, hits + correct, count + size
        return Score(loss_sum / count, hits / count)

    def step(self, batch: Batch, epoch: int) -> tuple[float, float]:
        self.adam.zero_grad(set_to_none=True)
        with self.method.scene.within(batch.part):
            logits = self.model(*batch.inputs)[batch.scored]
        y = batch.y[batch.scored]
        loss = loss_of(logits, y, batch.weight)
        penalty = self.method.penalty(self.model)
        if penalty is not None:
            loss = loss + penalty
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(f"diverged at epoch {epoch}: the loss became {value}.")
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return value, (logits.argmax(1) == y).sum().item()

    def keep_best(self, epoch: int, score: Score) -> None:
        if not math.isfinite(score.loss):
            raise Diverged(f"diverged at epoch {epoch}: the validation loss became {score.loss}.")
        final = self.quantizer_state == self.method.state_at(self.epochs - 1, self.epochs)
        if final and self.trained.better(score):
            self.trained.best, self.trained.best_epoch = score, epoch
            self.best_state = {name: value.clone() for name, value in self.state.items()}

    def close(self) -> Trained:
        """Best weights back; PTQ takes its ranges from them now."""
        self.model.load_state_dict(self.best_state)
        if self.method.calibrates:
            self.trained.quantize_s = calibrate(self.model, self.method, self.feed)
        set_state(self.model, "on")
        self.model.eval()
        if self.method.calibrates:
            self.trained.best = validated(self.model, self.feed)
            self.ranges.take(self.trained.best_epoch, always=True)
        return self.trained

    def save(self, path: Path) -> None:
        guard: Any = self.model.guard
        checkpoint.save(path, {
            "model": self.model.state_dict(), "best": self.best_state, "adam": self.adam.state_dict(),
            "history": self.trained.history, "best_epoch": self.trained.best_epoch,
            "best_loss": self.trained.best.loss, "best_accuracy": self.trained.best.accuracy,
            "snapshots": self.ranges.snapshots, "protected": guard.counts, "draws": guard.steps,
            "quantize_s": self.trained.quantize_s,
        })  # fmt: skip

    def resume(self, path: Path | None) -> int:
        """Takes up the last checkpoint; the epoch to go on with."""
        state = checkpoint.load(path)
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        self.best_state = state["best"]
        self.trained = Trained(state["best_epoch"], Score(state["best_loss"], state["best_accuracy"]), state["history"],
                               state.get("quantize_s"))  # fmt: skip
        self.quantizer_state = self.method.state_at(len(self.trained.history) - 1, self.epochs)
        set_state(self.model, self.quantizer_state)
        self.ranges.snapshots = state["snapshots"]
        guard: Any = self.model.guard
        guard.counts, guard.steps = state["protected"], state["draws"]
        return len(self.trained.history)


def loss_of(logits: Tensor, y: Tensor, weight: float) -> Tensor:
    """Weighted mean cross-entropy of logits [k, num_classes]; 0 of none, with a way back all the same."""
    return weight * F.cross_entropy(logits, y) if y.numel() else logits.sum()


def validated(model: nn.Module, feed: Feed) -> Score:
    """Of the validation split after calibration. Raises Diverged where the loss is not finite."""
    found = evaluate(model, feed, ("val",))["val"]
    if not math.isfinite(found.loss):
        raise Diverged(f"diverged with its quantizers on: the validation loss is {found.loss}.")
    return found


@torch.no_grad()
def calibrate(model: nn.Module, method: Method, feed: Feed) -> float:
    """One pass over the training data in evaluation mode in which every quantizer only takes its range; its seconds.

    The batches are made before the clock starts.
    """
    batches = feed.split("train")
    start = time.perf_counter()
    model.eval()
    set_state(model, "observe")
    for batch in batches:
        model(*batch.inputs)
    method.calibrated(model)
    return time.perf_counter() - start
