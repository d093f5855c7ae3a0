"""What is to be run: RunSpec (one training), MeasureSpec (one timing), Study (a named list of RunSpecs)."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dqviz.errors import BadInput
from dqviz.registry import one_sentence

BITS = (2, 3, 4, 8, 16, 32)
SITES = ("input", "weight", "feature", "norm", "message", "aggregate", "update", "attention", "alpha")
"""Kinds of sites (dqviz.quant.where), for a map of bits; one site alone is its key, which ends in its kind."""
PROFILES = ("paper", "integer")
MAX_RUNS_UNASKED = 2_000

Scalar = bool | int | float | str
Bits = int | dict[str, int]
Profile = Literal["paper", "integer"]


class Frozen(BaseModel):
    """Immutable, strict about names, refuses NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Optimizer(Frozen):
    """Adam (Kingma & Ba, 2015) with an optional step decay; `decay_every` 0 means a constant rate."""

    lr: float = Field(default=0.01, gt=0, le=1e9, description="Learning rate of Adam.")
    weight_decay: float = Field(default=5e-4, ge=0, description="L2 penalty added to the gradient.")
    decay_every: int = Field(default=0, ge=0, description="Epochs between two decays; 0 keeps the rate constant.")
    decay: float = Field(default=0.5, gt=0, le=1, description="Factor of each decay.")
    batch_size: int = Field(default=128, ge=1, description="Graphs a batch (graph classification only).")


class RunSpec(Frozen):
    """One training run, named by the hash of its content. Round-trips through JSON."""

    dataset: str
    dataset_settings: dict[str, Scalar] = Field(default_factory=dict)
    arch: str
    arch_settings: dict[str, Scalar] = Field(default_factory=dict)
    method: str
    method_settings: dict[str, Scalar] = Field(default_factory=dict)
    bits: Bits = 8
    profile: Profile = "paper"
    seed: int = Field(default=0, ge=0, lt=2**31)
    epochs: int = Field(default=200, ge=1, le=100_000)
    optimizer: Optimizer = Optimizer()
    threads: int = Field(default=1, ge=1, le=256)

    @field_validator("bits")
    @classmethod
    def _known_bits(cls, bits: Bits) -> Bits:
        for width in bits.values() if isinstance(bits, dict) else [bits]:
            if width not in BITS:
                raise ValueError(f"{width} is not a bit width; choose one of {', '.join(map(str, BITS))}")
        for name in bits if isinstance(bits, dict) else ():
            if name != "default" and name.split("/")[-1] not in SITES:
                raise ValueError(f"{name!r} is not a site; choose among default, {', '.join(SITES)}")
        return bits

    @model_validator(mode="after")
    def _full_precision_is_32(self) -> RunSpec:
        """`fp32` has no bits to choose: one spelling, so that a product of bits holds it once."""
        if self.method == "fp32" and self.bits != 32:
            object.__setattr__(self, "bits", 32)
        return self

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON: the run's name."""
        return content_hash(self)

    @property
    def configuration(self) -> str:
        """The same without the seed: runs that share it are seeds of one group."""
        return content_hash(self.model_copy(update={"seed": 0}))

    @property
    def bits_label(self) -> str:
        return bits_label(self.bits)


class MeasureSpec(Frozen):
    """Timing of a finished run: an exclusive job, started only while nothing trains."""

    target: str = Field(description="run_id of the finished run to time")
    beside: tuple[str, ...] = Field(default=(), description="runs of other bit widths, timed in the same rounds")
    threads: int = Field(default=2, ge=1, le=256)
    repeats: int = Field(default=30, ge=5, le=1_000)
    graphs: tuple[str, ...] = Field(default=("arxiv-size",), description="larger graphs to time it on as well")
    force: bool = False
    again: int = Field(default=0, ge=0, description="how often the same was timed before")

    @property
    def digest(self) -> str:
        """The first timing is named as it was before timings could be repeated."""
        return content_hash(self, leave_out=() if self.again else ("again",))


class Study(Frozen):
    """A named list of runs."""

    name: str = Field(min_length=1, max_length=120)
    runs: tuple[RunSpec, ...] = Field(min_length=1)

    @classmethod
    def product(
        cls,
        name: str,
        *,
        datasets: Sequence[str],
        archs: Sequence[str],
        methods: Sequence[str],
        bits: Sequence[Bits],
        seeds: Sequence[int],
        method_settings: dict[str, dict[str, Scalar]] | None = None,
        **common: Any,
    ) -> Study:
        """All combinations, each once (FP32 is one run a seed whatever the bits). Raises BadInput on an empty list."""
        for what, values in {"data set": datasets, "architecture": archs, "method": methods, "bit width": bits,
                             "seed": seeds}.items():  # fmt: skip
            if not values:
                raise BadInput(f"Choose at least one {what}.")
        settings = method_settings or {}
        specs = {
            spec.digest: spec
            for d, a, s, m, b in itertools.product(datasets, archs, seeds, methods, bits)
            for spec in [make_spec(dataset=d, arch=a, method=m, bits=b, seed=s,
                                   method_settings=settings.get(m, {}), **common)]
        }  # fmt: skip
        return cls(name=name, runs=tuple(specs.values()))


def make_spec(**values: Any) -> RunSpec:
    """A RunSpec from a person's values: BadInput in one sentence when one does not fit."""
    try:
        return RunSpec(**values)
    except ValueError as error:
        raise BadInput(one_sentence("Run settings", error)) from error


FULL_PRECISION = 32
"""Bits of a site that is not quantized."""


def bits_label(bits: Bits) -> str:
    """'FP32', 'INT8', 'INT4', or 'mixed' for a map from site to bits."""
    if isinstance(bits, dict):
        return "mixed"
    return "FP32" if bits == FULL_PRECISION else f"INT{bits}"


def content_hash(model: BaseModel, leave_out: Collection[str] = ()) -> str:
    text = json.dumps(model.model_dump(mode="json", exclude=set(leave_out)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
