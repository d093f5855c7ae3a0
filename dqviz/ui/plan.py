"""From what a person chose in the Train form to a Study, or to one sentence that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from dqviz.errors import BadInput
from dqviz.registry import one_sentence
from dqviz.runs.catalogue import Catalogue, check
from dqviz.spec import MAX_RUNS_UNASKED, Optimizer, RunSpec, Scalar, Study

Settings = Mapping[str, dict[str, Scalar]]


@dataclass(frozen=True)
class Draft:
    """What the form holds; settings by the name of the architecture, method or data set they belong to."""

    name: str
    dataset: str
    archs: Sequence[str]
    methods: Sequence[str]
    bits: Sequence[int]
    seeds: int
    epochs: int
    profile: str
    settings: Settings = field(default_factory=dict)
    optimizer: Mapping[str, Scalar] = field(default_factory=dict)


def build(draft: Draft, known: Catalogue) -> Study:
    """The study of `draft`, checked run by kind of run. Raises BadInput in one sentence."""
    if draft.seeds < 1:
        raise BadInput("Choose at least one seed.")
    if not draft.archs:
        raise BadInput("Choose at least one architecture.")
    study = _join(draft.name, [_study(draft, arch) for arch in draft.archs])
    for spec in study.runs:
        if spec.seed == study.runs[0].seed:  # seeds do not change whether settings fit
            check(spec, known)
    return study


def _study(draft: Draft, arch: str) -> Study:
    """All runs of one architecture: only it knows its own settings."""
    return Study.product(
        draft.name,
        datasets=[draft.dataset],
        archs=[arch],
        methods=draft.methods,
        bits=draft.bits,
        seeds=range(draft.seeds),
        method_settings=dict(draft.settings),
        dataset_settings=draft.settings.get(draft.dataset, {}),
        arch_settings=draft.settings.get(arch, {}),
        epochs=draft.epochs,
        profile=draft.profile,
        optimizer=_optimizer(draft.optimizer),
    )


def _optimizer(values: Mapping[str, Any]) -> Optimizer:
    try:
        return Optimizer(**values)
    except ValidationError as error:
        raise BadInput(one_sentence("Optimizer", error)) from error


def _join(name: str, parts: Sequence[Study]) -> Study:
    runs: dict[str, RunSpec] = {spec.digest: spec for part in parts for spec in part.runs}
    try:
        return Study(name=name.strip(), runs=tuple(runs.values()))
    except ValidationError as error:
        raise BadInput(one_sentence("Study", error)) from error


def needs_consent(study: Study) -> bool:
    """More runs than anyone starts by mistake."""
    return len(study.runs) > MAX_RUNS_UNASKED
