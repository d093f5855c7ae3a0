"""The search space: read from dqviz/training/settings/space.yaml, asked of an Optuna trial."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import optuna
from pydantic import Field, ValidationError, model_validator

from dqviz.data import DATASETS
from dqviz.errors import BadInput
from dqviz.methods import METHODS
from dqviz.registry import one_sentence
from dqviz.runs.tuned import SPACE, settings_dir
from dqviz.runs.yamlfile import document
from dqviz.spec import Frozen, Scalar

GROUPS = {"optimizer": "optimizer", "arch": "arch_settings", "method": "method_settings", "dataset": "dataset_settings"}
"""Group in the file -> entry of a RunSpec."""


class Knob(Frozen):
    """One setting: a range (even, or log) or a list of choices, and where the search starts."""

    start: Scalar
    choices: tuple[Scalar, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    added_to: str = ""

    @model_validator(mode="after")
    def _start_is_inside(self) -> Knob:
        if not self.takes(self.start):
            raise ValueError(f"start {self.start} is outside of what may be chosen")
        return self

    def ask(self, trial: optuna.Trial, name: str) -> Scalar:
        """A value; numbers are rounded before they are used, so that the file tells what was trained."""
        if self.choices:
            return cast("Scalar", trial.suggest_categorical(name, self.choices))
        value = trial.suggest_float(name, self.low, self.high, log=self.log)
        return float(f"{value:.3g}") if self.log else round(value, 3)

    def takes(self, value: Scalar) -> bool:
        return value in self.choices if self.choices else self.low <= float(value) <= self.high


Group = dict[str, Knob]


class Part(Frozen):
    """Settings by group; `trained_as` names the method whose settings train the network.

    `more_starts` is what the trials after the first change of it, one each: a choice that is poor in random company is
    then met once in good company, by every method that has it.
    """

    optimizer: Group = Field(default_factory=dict)
    arch: Group = Field(default_factory=dict)
    method: Group = Field(default_factory=dict)
    dataset: Group = Field(default_factory=dict)
    trained_as: str = ""
    more_starts: tuple[dict[str, Scalar], ...] = ()

    def knobs(self) -> dict[str, Knob]:
        """'optimizer.lr' -> its knob."""
        return {f"{group}.{name}": knob for group in GROUPS for name, knob in getattr(self, group).items()}

    @property
    def digest(self) -> str:
        """Names the space: another one is another study."""
        content = self.model_dump(mode="json")
        if not self.dataset:  # most have none: the studies of before there could be some keep their names
            del content["dataset"]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


class Space(Frozen):
    """`kin`: methods whose finals judge each other's settings as well."""

    shared: Part
    methods: dict[str, Part] = Field(default_factory=dict)
    kin: tuple[str, ...] = ()


@cache
def space() -> Space:
    """The file's content. Raises BadInput in one sentence when it does not fit."""
    try:
        return Space(**document(settings_dir() / f"{SPACE}.yaml", "search space"))
    except ValidationError as error:
        raise BadInput(one_sentence("Search space", error)) from error


def part_of(method: str, dataset: str = "") -> Part:
    """What is searched for a method: its own settings, and the shared ones unless it is trained as another method.

    Of settings of the data set those that `dataset` has.
    """
    own = space().methods.get(method, Part())
    own = own.model_copy(update={"method": known(method, own.method)})
    if own.trained_as:
        return own
    shared = space().shared
    has = DATASETS[dataset].settings.model_fields if dataset else {}
    features = {name: knob for name, knob in (shared.dataset | own.dataset).items() if name in has}
    return own.model_copy(update={"optimizer": shared.optimizer | own.optimizer, "arch": shared.arch | own.arch,
                                  "dataset": features,
                                  "more_starts": own.more_starts or shared.more_starts})  # fmt: skip


def known(method: str, group: Group) -> Group:
    """Without settings and choices that this version of the method does not have."""
    fields = METHODS[method].settings.model_fields
    kept = {name: knob for name, knob in group.items() if name in fields}
    return {name: knob.model_copy(update={"choices": tuple(c for c in knob.choices if fits(method, name, c))})
            for name, knob in kept.items()}  # fmt: skip


def fits(method: str, name: str, value: Scalar) -> bool:
    try:
        METHODS.settings(method, {name: value})
    except BadInput:
        return False
    return True


def starts(part: Part) -> list[dict[str, Scalar]]:
    """Parameters of the first trials, in order: the space's start, then each change of it that fits."""
    knobs = part.knobs()
    first = {name: knob.start for name, knob in knobs.items()}
    changes = ({name: value for name, value in more.items() if name in knobs} for more in part.more_starts)
    return [first, *(first | changed for changed in changes if changed)]


def ask(trial: optuna.Trial, part: Part) -> dict[str, dict[str, Scalar]]:
    """Settings of a trial, by entry of a RunSpec."""
    found: dict[str, dict[str, Scalar]] = {entry: {} for entry in GROUPS.values()}
    for name, knob in part.knobs().items():
        group, _, setting = name.partition(".")
        settings = found[GROUPS[group]]
        settings[setting] = _added(knob, knob.ask(trial, name), settings)
    return found


def adopted(settings: Mapping[str, Mapping[str, Any]], part: Part) -> dict[str, dict[str, Scalar]]:
    """Settings of another method as far as `part` has them, and its start where it has not; by entry of a RunSpec."""
    found: dict[str, dict[str, Scalar]] = {entry: {} for entry in GROUPS.values()}
    for name, knob in part.knobs().items():
        group, _, setting = name.partition(".")
        own = found[GROUPS[group]]
        value = settings.get(GROUPS[group], {}).get(setting)
        own[setting] = value if value is not None and knob.takes(value) else _added(knob, knob.start, own)
    return found


def _added(knob: Knob, value: Scalar, settings: Mapping[str, Any]) -> Scalar:
    return round(settings[knob.added_to] + float(value), 6) if knob.added_to else value
