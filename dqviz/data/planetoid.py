"""Citation graphs of Planetoid (Yang et al. 2016): Cora, CiteSeer, PubMed, with the public split."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

from pydantic import Field
from torch_geometric.datasets import Planetoid
from torch_geometric.io import read_planetoid_data

from dqviz.data.arrays import Arrays, pack_features, remembered
from dqviz.data.fetch import fetch, raw_folder
from dqviz.data.splits import PARTS
from dqviz.data.task import Task, node_task
from dqviz.errors import BadInput
from dqviz.registry import Settings

PICKLES = ("x", "tx", "allx", "y", "ty", "ally", "graph")

# The published files are Python pickles, which run code when read: only these exact bytes are ever opened.
# sha256 over the seven files in the order of PICKLES.
PUBLISHED = {
    "Cora": "cc583547d8098ed47fedab7ee489d934297674cb308cc165cf94743c95a37de3",
    "CiteSeer": "445bb0221773a2d4a91bcc4a38a13a29ca0d168848f74567385bb8ac63e2bac0",
    "PubMed": "ad431a3144544933488426feded7f06867f6368d8b3fdf1a0cff38be468cb5c8",
}


class CitationSettings(Settings):
    row_normalize: bool = Field(default=True, description="Divide each feature row by its sum, as Degree-Quant does.")


def citation(name: str, folder: str) -> Callable[[CitationSettings, int], Task]:
    """Loader of one set. Split: the public one (20 a class train, 500 val, 1,000 test)."""

    def load(settings: CitationSettings, _seed: int) -> Task:
        files = [f"ind.{name}.{part}" for part in (*PICKLES, "test.index")]
        raw = raw_folder(name, folder, files, lambda to: download(files, to))
        arrays = remembered(name, [raw / file for file in files], lambda: read(raw, name, folder))
        masks = {part: arrays[f"{part}_mask"] for part in PARTS}
        return node_task(name, arrays, masks, row_normalize=settings.row_normalize)

    return load


def download(files: list[str], to: Path) -> None:
    for file in files:
        fetch(f"{Planetoid.url}/{file}", to / file)


def read(raw: Path, name: str, folder: str) -> Arrays:
    """Arrays from the raw files. Raises BadInput when they are not the published ones."""
    digest = hashlib.sha256()
    for part in PICKLES:
        digest.update((raw / f"ind.{name}.{part}").read_bytes())
    if digest.hexdigest() != PUBLISHED[folder]:
        raise BadInput(f"The files ind.{name}.* in {raw} are not the published ones and are not opened: replace them.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old pickles name modules that scipy and numpy have since renamed
        data = read_planetoid_data(str(raw), name)
    masks = {f"{part}_mask": data[f"{part}_mask"].numpy() for part in PARTS}
    return pack_features(data.x.numpy()) | {"edge_index": data.edge_index.numpy(), "y": data.y.numpy()} | masks
