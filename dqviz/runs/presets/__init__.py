"""Studies as product files: data sets x architectures x methods x bits x seeds, written in YAML.

A file holds `name`, the lists, and what all runs share (`epochs`, `profile`, `optimizer`, ...). With `depths`, every
architecture is trained at each of these numbers of layers (its setting `layers`). With `parts`, each part
is such a product: it inherits what stands above and overrides it, so a method can have its own learning rate. With
`runs`, the runs themselves are listed (what a report writes, so that a study can be started again run by run).
The files in this folder are the presets; `dqviz study start FILE.yaml` reads the same format.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from dqviz.errors import BadInput, unknown
from dqviz.registry import one_sentence
from dqviz.runs.tuned import tuned
from dqviz.runs.yamlfile import document
from dqviz.spec import Bits, Frozen, Optimizer, Profile, RunSpec, Scalar, Study, make_spec

FOLDER = Path(__file__).parent
HEAD = ("name", "summary", "parts", "runs")


class Product(Frozen):
    """One product of lists and what its runs share; `seeds` is a list, or a number n for 0 to n - 1."""

    datasets: tuple[str, ...]
    archs: tuple[str, ...]
    methods: tuple[str, ...]
    bits: tuple[Bits, ...] = (8,)
    seeds: tuple[int, ...] = (0,)
    depths: tuple[int, ...] = ()
    dataset_settings: dict[str, Scalar] = Field(default_factory=dict)
    arch_settings: dict[str, Scalar] = Field(default_factory=dict)
    method_settings: dict[str, dict[str, Scalar]] = Field(default_factory=dict)
    profile: Profile = "paper"
    epochs: int = Field(default=200, ge=1, le=100_000)
    optimizer: Optimizer = Optimizer()
    threads: int = Field(default=1, ge=1, le=256)
    tuned: bool = Field(default=False, description="Lay the settings that `dqviz search` found over those given here.")

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, seeds: object) -> object:
        return tuple(range(seeds)) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds

    def runs(self) -> tuple[RunSpec, ...]:
        """All combinations. Raises BadInput for an empty list or settings of a method that is not in it."""
        strangers = set(self.method_settings) - set(self.methods)
        if strangers:
            raise BadInput(f"method_settings name {', '.join(sorted(strangers))}, which methods do not list.")
        variants = [self.arch_settings | {"layers": depth} for depth in self.depths] or [self.arch_settings]
        runs = tuple(run for settings in variants for run in self._product(settings))
        return tuple(map(tuned, runs)) if self.tuned else runs

    def _product(self, arch_settings: dict[str, Scalar]) -> tuple[RunSpec, ...]:
        shared = self.model_dump(mode="python", include={"epochs", "profile", "threads"})
        return Study.product(
            "part", datasets=self.datasets, archs=self.archs, methods=self.methods, bits=self.bits, seeds=self.seeds,
            method_settings=self.method_settings, dataset_settings=self.dataset_settings, arch_settings=arch_settings,
            optimizer=self.optimizer, **shared,
        ).runs  # fmt: skip


def preset(name: str, untuned: bool = False) -> Study:
    """The study of that name (`untuned`: as the file has it). Raises BadInput with the choices for an unknown one."""
    if name not in _shipped():
        raise unknown("preset", name, _shipped())
    content = _shipped()[name] | ({"tuned": False} if untuned else {})
    return study_of(content, default_name=name)


def presets() -> dict[str, str]:
    """Name -> one sentence, of every preset."""
    return {name: str(content.get("summary", "")) for name, content in _shipped().items()}


def preset_titles() -> dict[str, str]:
    """Name -> what its study is called, of every preset."""
    return {name: str(content.get("name") or name) for name, content in _shipped().items()}


@lru_cache(maxsize=1)
def _shipped() -> dict[str, dict[str, Any]]:
    """The files of this folder, parsed once: 30 ms each."""
    return {path.stem: document(path, "study file") for path in sorted(FOLDER.glob("*.yaml"))}


def read_study(path: Path) -> Study:
    """The study a product file describes. Raises BadInput in one sentence when the file cannot be used."""
    return study_of(document(path, "study file"), default_name=path.stem)


def study_of(content: Mapping[str, Any], default_name: str = "study") -> Study:
    """The study of a parsed product file; a run that stands in two parts is in it once."""
    shared = {key: value for key, value in content.items() if key not in HEAD}
    name = str(content.get("name") or default_name)
    if "runs" in content:
        return _study(name, _listed(content["runs"]))
    parts = content.get("parts") or [{}]
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise BadInput("A study file's parts must be a list of products.")
    runs = [run for part in parts for run in _product(_merged(shared, part)).runs()]
    return _study(name, {run.digest: run for run in runs})


def _listed(runs: object) -> dict[str, RunSpec]:
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise BadInput("A study file's runs must be a list of run settings.")
    return {spec.digest: spec for spec in (make_spec(**run) for run in runs)}


def _study(name: str, runs: Mapping[str, RunSpec]) -> Study:
    try:
        return Study(name=name, runs=tuple(runs.values()))
    except ValidationError as error:
        raise BadInput(one_sentence("Study file", error)) from error


def _product(values: Mapping[str, Any]) -> Product:
    for key in values:
        if key not in Product.model_fields:
            raise unknown("entry of a study file", key, [*Product.model_fields, *HEAD])
    try:
        return Product(**values)
    except ValidationError as error:
        raise BadInput(one_sentence("Study file", error)) from error


def _merged(shared: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """`part` over `shared`; maps (optimizer, settings) are merged key by key."""
    result = dict(shared)
    for key, value in part.items():
        old = result.get(key)
        result[key] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
