"""What is to be searched: one Plan a data set, architecture, method and bit width."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dqviz.data import DATASETS
from dqviz.data.splits import KEEP
from dqviz.errors import BadInput
from dqviz.jobs.search.space import part_of
from dqviz.methods import METHODS
from dqviz.nn import ARCHS
from dqviz.runs.presets import preset
from dqviz.runs.tuned import FINAL_SEEDS, Cell, Key
from dqviz.spec import FULL_PRECISION, RunSpec, bits_label, make_spec

SEARCHED = {"lr", "weight_decay"}
"""The optimizer's settings that every space has."""
BUDGET = {"trials", "preset", "finalists", "final_seeds", "incumbent", "guests"}
"""Fields of a plan that no trial's value depends on."""
Settings = Mapping[str, Mapping[str, Any]]
Ask = Callable[[], bool]
"""Shall the search stop?"""


@dataclass(frozen=True)
class Plan:
    """One cell's search.

    `trained`: settings that are taken over from another method, by entry of a RunSpec. `given`: those that a preset
    gives the cell, under what is searched, as in its final runs; `preset` is that preset's name. `finalists`: so many
    of the best trials are judged on `final_seeds` as well (finals.py), and so are the `incumbent`, found before, and
    `guests`: kin and the settings found for it, with what is this method's own at its start.
    """

    dataset: str
    arch: str
    method: str
    bits: int
    trials: int = 20
    epochs: int = 200
    seeds: tuple[int, ...] = (1000, 1001)
    sampler_seed: int = 0
    trained: Settings = field(default_factory=dict)
    given: Settings = field(default_factory=dict)
    preset: str = ""
    finalists: int = 0
    final_seeds: tuple[int, ...] = (1002, 1003, 1004, 1005)
    incumbent: Cell | None = None
    guests: Mapping[str, Settings] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.arch, self.method, self.bits

    @property
    def label(self) -> str:
        width = "" if self.bits == FULL_PRECISION else f" {bits_label(self.bits)}"
        return f"{self.dataset} {self.arch} {self.method}{width}"

    @property
    def name(self) -> str:
        """Names the study: the cell, and a digest of all that a trial's value depends on (not of the budget)."""
        about = asdict(self) | {"space": part_of(self.method, self.dataset).digest}
        left_out = BUDGET if self.given else {*BUDGET, "given"}
        text = json.dumps({key: value for key, value in about.items() if key not in left_out}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.dataset}-{self.arch}-{self.method}-{self.bits}-{digest}"

    @property
    def command(self) -> str:
        seeds = ",".join(map(str, self.seeds))
        cell = (f"--preset {self.preset}" if self.preset else
                f"--dataset {self.dataset} --archs {self.arch} --methods {self.method} --bits {self.bits}")  # fmt: skip
        return (f"dqviz search {cell} --trials {self.trials} --epochs {self.epochs} --seeds {seeds} "
                f"--sampler-seed {self.sampler_seed}{self._finals}")  # fmt: skip

    @property
    def _finals(self) -> str:
        seeds = ",".join(map(str, self.final_seeds))
        return f" --finalists {self.finalists} --final-seeds {seeds}" if self.finalists else ""

    @property
    def judged(self) -> tuple[int, ...]:
        """All seeds that choose the cell's settings."""
        return (*self.seeds, *(self.final_seeds if self.finalists else ()))

    def untrained(self, settings: Settings) -> Settings:
        """`settings` without what is taken over from another method."""
        return {entry: values for entry, values in settings.items() if entry not in self.trained}

    @property
    def trained_as(self) -> str:
        return part_of(self.method).trained_as

    def after(self, cell: Cell) -> Plan:
        """The plan with the settings that its network is trained with."""
        return replace(self, trained=cell.network)

    def spec(self, settings: Settings, seed: int) -> RunSpec:
        """The run of one trial and seed, as a final run with these settings would be but for its seed."""
        chosen = {**settings, **self.trained}
        under = {entry: {**self.given.get(entry, {}), **chosen.get(entry, {})} for entry in {*self.given, *chosen}}
        return make_spec(dataset=self.dataset, arch=self.arch, method=self.method, bits=self.bits, seed=seed,
                         epochs=self.epochs, **under)  # fmt: skip


def plans(dataset: str, archs: Sequence[str], methods: Sequence[str], bits: Sequence[int], **budget: Any) -> list[Plan]:
    """Every cell once, those that are trained as another one last.

    Raises BadInput, listing the choices, for a name that is not registered, a bit width that is none, or search seeds
    that final runs use.
    """
    cells = [
        Plan(dataset, arch, method, width, **budget)
        for arch in archs
        for method in methods
        for width in ([FULL_PRECISION] if method == "fp32" else bits)
    ]
    if not cells:
        raise BadInput("Choose at least one architecture, one method and one bit width.")
    return ordered(cells)


def plans_of(name: str, **budget: Any) -> list[Plan]:
    """The cells of a preset with the settings it gives them; one of a map from site to bits is not searched.

    What was found before is left aside, and rate and decay of weights are always searched. Raises BadInput for a preset
    of another profile than `paper`, or with two networks in one cell: one set of settings could not be right for both.
    """
    runs = preset(name, untuned=True).runs
    other = next((spec.profile for spec in runs if spec.profile != "paper"), None)
    if other:
        raise BadInput(f"Preset {name!r} cannot be searched: trials train profile paper, its runs {other}.")
    cells = [
        Plan(spec.dataset, spec.arch, spec.method, spec.bits, given=given(spec), preset=name, **budget)
        for spec in runs
        if isinstance(spec.bits, int)
    ]
    once: dict[tuple[str, Key], Plan] = {}
    for plan in cells:
        if once.setdefault((plan.dataset, plan.key), plan) != plan:
            raise BadInput(f"Preset {name!r} cannot be searched: it has several networks of {plan.label}.")
    return ordered(cells)


def given(spec: RunSpec) -> Settings:
    found = {entry: getattr(spec, entry) for entry in ("dataset_settings", "arch_settings", "method_settings")}
    found["optimizer"] = spec.optimizer.model_dump(exclude_defaults=True, exclude=SEARCHED)
    return {entry: settings for entry, settings in found.items() if settings}


def ordered(cells: Sequence[Plan]) -> list[Plan]:
    """Every cell once, those that are trained as another one last."""
    once = {(plan.dataset, plan.key): plan for plan in cells}
    for plan in once.values():
        require(plan)
    return sorted(once.values(), key=lambda plan: bool(plan.trained_as))


def require(plan: Plan) -> None:
    """Raises BadInput for a plan that cannot be searched."""
    for registry, name in ((DATASETS, plan.dataset), (ARCHS, plan.arch), (METHODS, plan.method)):
        registry[name]
    if not plan.seeds or min(plan.judged) < FINAL_SEEDS or len(set(plan.judged)) < len(plan.judged):
        raise BadInput(f"Search seeds must be different numbers from {FINAL_SEEDS} on; those below are final seeds.")
    require_fixed_split(plan)
    if plan.trials < 1:
        raise BadInput("A search needs at least one trial.")
    plan.spec({}, plan.seeds[0])


def require_fixed_split(plan: Plan) -> None:
    """Raises BadInput where each seed draws a split of its own: what a trial trains on, a final run is tested on."""
    defaults = DATASETS[plan.dataset].settings.model_fields
    own = plan.given.get("dataset_settings", {})
    for name in ("fold", "split_seed"):
        if name in defaults and own.get(name, defaults[name].default) == KEEP:
            raise BadInput(f"Settings of {plan.dataset} cannot be searched: its split follows the run's seed "
                           f"({name} -1), so trials would see labels that final runs are tested on.")  # fmt: skip
