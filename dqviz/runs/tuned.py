"""Settings that `dqviz search` found: one YAML file a data set, one cell an architecture, method and bit width.

The files lie in dqviz/training/settings, beside the space they were searched in (space.yaml). They are data, read by
presets as well as by the search, so their reader is here, where nothing imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from dqviz.errors import BadInput
from dqviz.registry import one_sentence
from dqviz.runs.artifacts import write_atomically
from dqviz.runs.home import package_dir
from dqviz.runs.plain import clean
from dqviz.runs.yamlfile import document
from dqviz.spec import FULL_PRECISION, Frozen, RunSpec, Scalar, make_spec

SPACE = "space"
FINAL_SEEDS = 100
"""Seeds below this one belong to final runs; a search takes others."""
HEAD = """\
# Written by `dqviz search`, not by hand. Each cell holds the settings with the best mean validation accuracy over the
# search seeds, and the study that found them. No trial saw the test split, and the search seeds are no final seeds.
"""
Key = tuple[str, str, int]


class Found(Frozen):
    """The study behind a cell: what was spent, and on which seeds."""

    study: str
    trials: int
    complete: int
    pruned: int
    failed: int
    seeds: tuple[int, ...]
    sampler_seed: int
    epochs: int
    seconds: float = Field(description="Time of all trials together, one thread.")
    command: str
    earlier: dict[str, int] = Field(default_factory=dict, description="Trials of other studies of the cell.")
    kin: str = Field(default="", description="The method that the settings were found for, where it is another one.")

    @property
    def studies(self) -> dict[str, int]:
        """Trials of each study of the cell."""
        return most(self.earlier, {self.study: self.trials})

    @property
    def spent(self) -> int:
        """All trials that the cell has had."""
        return sum(self.studies.values())

    def among(self, studies: Mapping[str, int]) -> Found:
        """With the trials of all these studies; its own is named again only where it once had more trials than now."""
        earlier = {name: n for name, n in studies.items() if name != self.study or n > self.trials}
        return self.model_copy(update={"earlier": earlier})


class Cell(Frozen):
    """Best settings of one architecture, method and bit width on one data set."""

    arch: str
    method: str
    bits: int
    val_accuracy: float = Field(description="Mean over the search seeds at the best validation epoch, a share of 1.")
    val_by_seed: dict[int, float]
    optimizer: dict[str, Scalar] = Field(default_factory=dict)
    arch_settings: dict[str, Scalar] = Field(default_factory=dict)
    method_settings: dict[str, Scalar] = Field(default_factory=dict)
    dataset_settings: dict[str, Scalar] = Field(default_factory=dict)
    found: Found

    @property
    def key(self) -> Key:
        return self.arch, self.method, self.bits

    @property
    def network(self) -> dict[str, dict[str, Scalar]]:
        """What a network is trained with, whatever quantizes it; by entry of a RunSpec."""
        return {"optimizer": self.optimizer, "arch_settings": self.arch_settings,
                "dataset_settings": self.dataset_settings}  # fmt: skip

    @property
    def settings(self) -> dict[str, dict[str, Scalar]]:
        return self.network | {"method_settings": self.method_settings}


def settings_dir() -> Path:
    """Where the shipped settings and the search space lie."""
    return package_dir() / "training" / "settings"


def cells(dataset: str, folder: Path | None = None) -> dict[Key, Cell]:
    """What was found for a data set; {} where nothing was searched. Raises BadInput for a file that cannot be used."""
    path = (folder or settings_dir()) / f"{dataset}.yaml"
    return dict(_read(path, path.stat().st_mtime_ns)) if path.is_file() else {}


def write(dataset: str, found: Iterable[Cell], folder: Path) -> Path:
    """Lays `found` over what the data set's file in `folder` holds; the other cells stay.

    A cell keeps what an earlier study found where that is better (`chosen`). Those that are calibrated on the network
    of an FP32 cell go with it when that changes: they were found on another network.
    """
    merged = cells(dataset, folder)
    for cell in found:
        merged[cell.key] = chosen(merged.get(cell.key), cell)
    whole = {cell.arch: cell for cell in merged.values() if cell.bits == FULL_PRECISION}
    merged = {key: cell for key, cell in merged.items()
              if not trained_as(cell.method) or cell.network == whole.get(cell.arch, cell).network}  # fmt: skip
    rows = [_plain(merged[key]) for key in sorted(merged, key=_order)]
    text = yaml.safe_dump({"dataset": dataset, "cells": rows}, sort_keys=False, width=1_000, default_flow_style=None)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset}.yaml"
    write_atomically(path, (HEAD + text).encode())
    return path


def chosen(old: Cell | None, new: Cell) -> Cell:
    """The one of better validation accuracy, with the trials of both; `new` where they were not judged alike.

    Alike: on the same search seeds and epochs, and for what is calibrated on the same network.
    """
    if old is None or (old.found.seeds, old.found.epochs) != (new.found.seeds, new.found.epochs):
        return new
    if trained_as(new.method) and old.network != new.network:
        return new
    top = old if old.val_accuracy >= new.val_accuracy and old.found.study != new.found.study else new
    return top.model_copy(update={"found": top.found.among(most(old.found.studies, new.found.studies))})


def most(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Trials of each study: one that was begun anew made the same trials again, so the longer count holds."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def trained_as(method: str) -> str:
    """The method whose settings train the network of this one; '' for its own."""
    path = settings_dir() / f"{SPACE}.yaml"
    return _parents(path, path.stat().st_mtime_ns).get(method, "") if path.is_file() else ""


def tuned(spec: RunSpec) -> RunSpec:
    """`spec` with the settings found for it laid over its own; unchanged where nothing was searched.

    What is calibrated on another method's network is trained with that one's settings, searched itself or not.
    """
    if not isinstance(spec.bits, int):
        return spec
    known = cells(spec.dataset)
    own = known.get((spec.arch, spec.method, spec.bits))
    parent = trained_as(spec.method)
    network = known.get((spec.arch, parent, FULL_PRECISION)) if parent else own
    if network is None:
        return spec
    found = {
        "optimizer": {**spec.optimizer.model_dump(), **network.optimizer},
        "arch_settings": {**spec.arch_settings, **network.arch_settings},
        "method_settings": {**spec.method_settings, **(own.method_settings if own else {})},
        "dataset_settings": {**spec.dataset_settings, **network.dataset_settings},
    }
    return make_spec(**{**spec.model_dump(), **found})


def _plain(cell: Cell) -> dict[str, Any]:
    """A cell as the file holds it; hardly any has settings of the data set or earlier studies."""
    row = dict(clean(cell.model_dump(mode="json", exclude=set() if cell.dataset_settings else {"dataset_settings"})))
    for name in ("earlier", "kin"):
        if not getattr(cell.found, name):
            del row["found"][name]
    return row


def _order(key: Key) -> tuple[Any, ...]:
    arch, method, bits = key
    return arch, -bits, method


@lru_cache(maxsize=2)
def _parents(path: Path, _changed: int) -> dict[str, str]:
    methods = document(path, "search space").get("methods", {})
    return {method: own["trained_as"] for method, own in methods.items() if "trained_as" in (own or {})}


@lru_cache(maxsize=16)
def _read(path: Path, _changed: int) -> dict[Key, Cell]:
    content = document(path, "settings file")
    try:
        rows = [Cell(**row) for row in content.get("cells", ())]
    except ValidationError as error:
        raise BadInput(one_sentence(f"Settings file {path.name!r}", error)) from error
    except TypeError as error:
        raise BadInput(f"The settings file {path.name!r} must hold a list of cells.") from error
    return {cell.key: cell for cell in rows}
