"""Amazon co-purchase graphs (Shchur et al. 2018): Computers and Photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field
from torch_geometric.datasets import Amazon
from torch_geometric.io import parse_npz

from dqviz.data.arrays import Arrays, pack_features, remembered
from dqviz.data.fetch import fetch, raw_folder
from dqviz.data.splits import KEEP, chosen, per_class
from dqviz.data.task import Task, node_task
from dqviz.data.whole import whole
from dqviz.registry import Settings


class CopurchaseSettings(Settings):
    row_normalize: bool = Field(default=True, description="Divide each feature row by its sum.")
    split_seed: int = Field(default=0, ge=KEEP, description="Seed of the split; -1 draws one for each run seed.")


def copurchase(name: str, folder: str) -> Callable[[CopurchaseSettings, int], Task]:
    """Loader of one set. Split: 20 a class train, 30 a class val, the rest test, as in Shchur et al."""

    def load(settings: CopurchaseSettings, seed: int) -> Task:
        file = f"amazon_electronics_{name}.npz"
        raw = raw_folder(name, folder, [file], lambda to: fetch(f"{Amazon.url.rstrip('/')}/{file}", to / file))
        arrays = remembered(name, [raw / file], lambda: whole(name, raw, lambda: read(raw / file)))
        masks = per_class(arrays["y"], chosen(settings.split_seed, seed))
        return node_task(name, arrays, masks, row_normalize=settings.row_normalize)

    return load


def read(path: Path) -> Arrays:
    with path.open("rb") as file, np.load(file) as members:  # numpy leaves a file open that it opened and cannot read
        data = parse_npz(members)
    return pack_features(data.x.numpy()) | {"edge_index": data.edge_index.numpy(), "y": data.y.numpy()}
