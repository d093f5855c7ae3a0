"""What the ledger tells: a run, a study, a claim. Frozen values; wall-clock times in them are for display only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from dqviz.spec import MeasureSpec, RunSpec, bits_label

STATES = ("queued", "running", "finished", "failed", "cancelled", "interrupted")
ACTIVE = ("queued", "running")
UNSUCCESSFUL = ("failed", "cancelled", "interrupted")
ARTIFACTS = "artifacts"

Spec = RunSpec | MeasureSpec


@dataclass(frozen=True)
class RunRow:
    """One run. `folder` holds its artifacts once it is finished; `epoch` is the number of epochs done."""

    run_id: str
    kind: str
    state: str
    spec: Spec
    folder: Path
    attempt: int = 1
    study_ids: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    error: str | None = None
    cancel: bool = False
    retries_left: int = 0
    worker: str | None = None
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def settled(self) -> bool:
        """Nothing more will happen to this run by itself (an interrupted one may be retried once)."""
        return self.state not in ACTIVE and not (self.state == "interrupted" and self.retries_left)

    @property
    def dataset(self) -> str:
        return getattr(self.spec, "dataset", "")

    @property
    def arch(self) -> str:
        return getattr(self.spec, "arch", "")

    @property
    def method(self) -> str:
        return getattr(self.spec, "method", "")

    @property
    def bits(self) -> int | None:
        """None for a map from site to bits (and for a measurement)."""
        bits = getattr(self.spec, "bits", None)
        return bits if isinstance(bits, int) else None

    @property
    def bits_label(self) -> str:
        return bits_label(self.spec.bits) if isinstance(self.spec, RunSpec) else ""

    @property
    def site_bits(self) -> dict[str, int] | None:
        """The map from site to bits, None where all sites have the same."""
        bits = getattr(self.spec, "bits", None)
        return bits if isinstance(bits, dict) else None

    @property
    def method_settings(self) -> dict[str, Any]:
        """Those that were set; the method's defaults are not among them."""
        return dict(getattr(self.spec, "method_settings", {}))

    @property
    def arch_settings(self) -> dict[str, Any]:
        """Those that were set; the architecture's defaults are not among them."""
        return dict(getattr(self.spec, "arch_settings", {}))

    @property
    def profile(self) -> str:
        return getattr(self.spec, "profile", "")

    @property
    def seed(self) -> int:
        return getattr(self.spec, "seed", 0)

    @property
    def epochs(self) -> int:
        return getattr(self.spec, "epochs", 0)

    @property
    def progress(self) -> float:
        """Share of the epochs done, 0 to 1; 1 when finished."""
        return 1.0 if self.state == "finished" else min(1.0, self.epoch / max(self.epochs, 1))

    @cached_property
    def configuration(self) -> str:
        """Shared by the seeds of one setting."""
        return self.spec.configuration if isinstance(self.spec, RunSpec) else self.spec.digest

    @property
    def val_accuracy(self) -> float | None:
        return self.summary.get("val_accuracy")

    @property
    def test_accuracy(self) -> float | None:
        return self.summary.get("test_accuracy")

    @property
    def test_accuracy_integer(self) -> float | None:
        return self.summary.get("test_accuracy_integer")

    @property
    def epoch_ms_median(self) -> float | None:
        return self.summary.get("epoch_ms_median")

    @property
    def wall_s(self) -> float | None:
        return self.summary.get("wall_s")

    def row(self) -> dict[str, Any]:
        """The JSON row of `train --json` and `study show --json`."""
        return {name: getattr(self, name) for name in JSON_ROW}


JSON_ROW = ("run_id", "kind", "state", "dataset", "arch", "method", "bits", "bits_label", "profile", "seed",
            "val_accuracy", "test_accuracy", "test_accuracy_integer", "epochs", "epoch", "attempt",
            "epoch_ms_median", "wall_s", "error", "site_bits", "method_settings", "arch_settings",
            "configuration")  # fmt: skip


@dataclass(frozen=True)
class StudyRow:
    """A study and how many of its runs are in each state."""

    study_id: str
    name: str
    created_at: float = 0.0
    cancelled: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    demo: bool = False

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def active(self) -> int:
        return sum(self.counts.get(state, 0) for state in ACTIVE)

    @property
    def finished(self) -> int:
        return self.counts.get("finished", 0)

    @property
    def state(self) -> str:
        """running while anything runs, queued while anything waits, then finished, or how the worst run ended."""
        order = ("running", "queued", "failed", "interrupted", "cancelled", "finished")
        return next((state for state in order if self.counts.get(state)), "finished")

    def row(self) -> dict[str, Any]:
        """The JSON row of `study list --json`."""
        return {"study_id": self.study_id, "name": self.name, "state": self.state, "runs": self.total,
                "counts": dict(self.counts)}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """The right to run one attempt of a run; every write carries (run_id, attempt)."""

    run_id: str
    attempt: int
    kind: str
    spec: Spec
    home: Path
    cancel: bool = False
    beats: int = 0
    host: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.run_id, self.attempt

    @property
    def folder(self) -> Path:
        """The attempt's own folder: no two attempts ever write to the same one."""
        return self.home / str(self.attempt)

    @property
    def artifacts(self) -> Path:
        return self.folder / ARTIFACTS

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def threads(self) -> int:
        return self.spec.threads


@lru_cache(maxsize=8_192)
def parse_spec(kind: str, text: str) -> Spec:
    """A stored spec; cached because a page asks for the same ones every few seconds."""
    return (RunSpec if kind == "train" else MeasureSpec).model_validate_json(text)


def run_row(row: RowMapping, runs_dir: Path) -> RunRow:
    """A RunRow from a row of the ledger (with `studies`, the ids joined by commas)."""
    return RunRow(
        run_id=row["run_id"], kind=row["kind"], state=row["state"], attempt=row["attempt"],
        spec=parse_spec(row["kind"], row["spec"]),
        folder=runs_dir / row["run_id"] / str(row["attempt"]) / ARTIFACTS,
        study_ids=tuple((row["studies"] or "").split(",")) if row["studies"] else (),
        summary=json.loads(row["summary"]) if row["summary"] else {},
        epoch=row["epoch"], error=row["error"], cancel=row["cancel"], retries_left=row["retries_left"],
        worker=row["worker"], queued_at=row["queued_at"], started_at=row["started_at"], ended_at=row["ended_at"],
    )  # fmt: skip
