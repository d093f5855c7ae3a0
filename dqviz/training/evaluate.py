"""Loss and accuracy of a split in evaluation mode: everything quantized, nothing protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dqviz.quant import quantizers
from dqviz.quant.codebook import Codebook, remembering
from dqviz.quant.scene import Scene
from dqviz.training.batches import Batch, Feed

WHOLE = 50_000
"""Nodes up to which a graph is evaluated at once; above, the memory of it would be more than the training's."""


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
    # one graph, one forward pass for all splits
    logits = in_pieces(model, feed) if by_pieces(feed) else model(*next(iter(batches.values())).inputs)
    return {split: score(logits[b.scored], b.y[b.scored]) for split, b in batches.items()}


def by_pieces(feed: Feed) -> bool:
    """Whether a graph that is trained in parts is too large to be evaluated at once."""
    return feed.in_parts and feed.task.graphs[0].x.size(0) > WHOLE


def in_pieces(model: nn.Module, feed: Feed) -> Tensor:
    """Logits of all nodes [num_nodes, num_classes], part by part, as the whole graph gives them.

    A pass over the parts tells a layer's codewords of all nodes, once the layers before it know theirs: one pass a
    layer, in their order, and one for the logits.
    """
    books = [q for q in quantizers(model) if isinstance(q, Codebook) and q.where is not None]
    scene: Scene = model.guard.scene  # type: ignore[assignment, union-attr]
    with remembering(books) as turns:
        for _ in turns:
            run_pieces(model, feed, scene)
        return torch.cat(run_pieces(model, feed, scene))


def run_pieces(model: nn.Module, feed: Feed, scene: Scene) -> list[Tensor]:
    """Logits of each part."""
    logits = []
    for batch in feed.pieces():
        with scene.within(batch.part):
            logits.append(model(*batch.inputs))
    return logits
