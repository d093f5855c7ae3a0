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

FILES = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")

# All but the last are Python pickles, which run code when read: only these exact bytes are ever opened.
# sha256 over the eight files in the order of FILES.
PUBLISHED = {
    "Cora": "0ce1f9117972bdd087a19062d3decca8abfdfef042468c282c2b977642e057dd",
    "CiteSeer": "cbadbc965a18fe92dd73960a02a21e4e098723aebcdbe7e03c407a3971644413",
    "PubMed": "34aaa088b00e246edbc2a4ab7c320063b5b07fc3b9839d5540a663f867238d4a",
}


class CitationSettings(Settings):
    row_normalize: bool = Field(default=True, description="Divide each feature row by its sum, as Degree-Quant does.")


def citation(name: str, folder: str) -> Callable[[CitationSettings, int], Task]:
    """Loader of one set. Split: the public one (20 a class train, 500 val, 1,000 test)."""

    def load(settings: CitationSettings, _seed: int) -> Task:
        files = [f"ind.{name}.{part}" for part in FILES]
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
    for part in FILES:
        digest.update((raw / f"ind.{name}.{part}").read_bytes())
    if digest.hexdigest() != PUBLISHED[folder]:
        raise BadInput(f"The files ind.{name}.* in {raw} are not the published ones and are not opened: replace them.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old pickles name modules that scipy and numpy have since renamed
        data = read_planetoid_data(str(raw), name)
    masks = {f"{part}_mask": data[f"{part}_mask"].numpy() for part in PARTS}
    return pack_features(data.x.numpy()) | {"edge_index": data.edge_index.numpy(), "y": data.y.numpy()} | masks
