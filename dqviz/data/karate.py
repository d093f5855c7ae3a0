"""Zachary's karate club (1977), as torch_geometric embeds it: 34 people, 4 communities, one-hot features."""

from __future__ import annotations

from pydantic import Field
from torch_geometric.datasets import KarateClub

from dqviz.data.arrays import clean_edges, pack_features
from dqviz.data.splits import KEEP, chosen, per_class
from dqviz.data.task import Task, node_task
from dqviz.registry import Settings


class KarateSettings(Settings):
    train_per_class: int = Field(default=2, ge=1, le=5, description="Training people of each community.")
    split_seed: int = Field(default=0, ge=KEEP, description="Seed of the split; -1 draws one for each run seed.")


def karate(settings: KarateSettings, seed: int) -> Task:
    """Node classification small enough to follow by hand. Split: 2 train and 2 val of each class (1 where 5 or
    fewer), the rest test."""
    data = KarateClub()[0]
    y = data.y.numpy()
    masks = per_class(y, chosen(settings.split_seed, seed), train=settings.train_per_class, val=2)
    edges = clean_edges(data.edge_index.numpy(), len(y))
    return node_task("karate", pack_features(data.x.numpy()) | {"y": y, "edge_index": edges}, masks)
