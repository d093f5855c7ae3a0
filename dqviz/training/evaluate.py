"""Loss and accuracy of a split in evaluation mode: everything quantized, nothing protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dqviz.training.batches import Batch, Feed


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats and accuracy as a share."""

    loss: float
    accuracy: float


def score(logits: Tensor, y: Tensor) -> Score:
    """logits [k, num_classes], y [k]."""
    return Score(F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item())


@torch.no_grad()
def predict(model: nn.Module, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    """Logits [k, num_classes] and classes [k] of the scored rows of all batches, in evaluation mode."""
    model.eval()
    pairs = [(model(*batch.inputs)[batch.scored], batch.y[batch.scored]) for batch in batches]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([y for _, y in pairs])


@torch.no_grad()
def evaluate(model: nn.Module, feed: Feed, splits: Sequence[str]) -> dict[str, Score]:
    """Score of each split asked for, and of no other: the test split is read only where a caller names it."""
    if feed.task.kind == "graph":
        return {split: score(*predict(model, feed.split(split))) for split in splits}
    if model.training:
        model.eval()
    batches = {split: feed.split(split)[0] for split in splits}
    logits = model(*next(iter(batches.values())).inputs)  # one graph, one forward pass for all splits
    return {split: score(logits[b.scored], b.y[b.scored]) for split, b in batches.items()}
