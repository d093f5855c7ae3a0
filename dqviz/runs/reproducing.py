"""A table that is made again: a preset's study, cell by cell, with every run of those cells that the ledger knows."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dqviz.errors import unknown
from dqviz.runs.presets import preset, presets
from dqviz.runs.rows import RunRow
from dqviz.runs.tuned import FINAL_SEEDS, Cell, cells
from dqviz.spec import RunSpec, Study

DEGREE_QUANT, LOW_BIT = "dq", "lowbit"
KINDS = (DEGREE_QUANT, LOW_BIT)
"""What stands before the data set in a preset's name: the table it makes."""

LATENCY = "lowbit-latency"
"""The preset that times cells of the low-bit table; it stands for no data set."""

FOLDED = ("reddit-binary",)
"""Tables whose seeds are the folds of one cross-validation: more seeds would test the same graphs again."""

Key = tuple[str, str, str, int]
"""Data set, architecture, method, bits (0 for a map from site to bits)."""


def tables(kind: str = DEGREE_QUANT) -> list[str]:
    """Data sets that have a preset for their table. Raises BadInput with the choices for another kind of table."""
    if kind not in KINDS:
        raise unknown("table", kind, KINDS)
    own = (name for name in presets() if name.startswith(f"{kind}-") and name != LATENCY)
    return [name.removeprefix(f"{kind}-") for name in own]


def table(dataset: str, kind: str = DEGREE_QUANT) -> Study:
    """The study of a data set's table. Raises BadInput with the choices for another data set."""
    if dataset not in tables(kind):
        raise unknown("data set of a published table", dataset, tables(kind))
    return preset(f"{kind}-{dataset}")


@dataclass(frozen=True)
class Reproduction:
    """One study and every finished or unfinished run of its cells, further seeds included."""

    dataset: str
    study: Study
    runs: tuple[RunRow, ...]
    kind: str = DEGREE_QUANT

    @classmethod
    def of(cls, dataset: str, study: Study, runs: Iterable[RunRow], kind: str = DEGREE_QUANT) -> Reproduction:
        """`runs`: all there are; those with other settings, and of search seeds, are left out.

        They come in the order of the study's cells and their seeds, whichever machine trained them first.
        """
        known = dict.fromkeys(spec.configuration for spec in study.runs)
        place = {configuration: at for at, configuration in enumerate(known)}
        trainings = (run for run in runs if isinstance(run.spec, RunSpec) and run.seed < FINAL_SEEDS)
        mine = (run for run in trainings if run.configuration in place)
        return cls(dataset, study, tuple(sorted(mine, key=lambda run: (place[run.configuration], run.seed))), kind)

    @property
    def preset(self) -> str:
        """Name of the preset, and of the kept study."""
        return f"{self.kind}-{self.dataset}"

    @cached_property
    def specs(self) -> dict[Key, list[RunSpec]]:
        """What was asked for, cell by cell."""
        found: dict[Key, list[RunSpec]] = {}
        for spec in self.study.runs:
            found.setdefault(key_of(spec), []).append(spec)
        return found

    @cached_property
    def rows(self) -> dict[Key, list[dict[str, Any]]]:
        """JSON rows of each cell's runs, whatever their state."""
        return self.by_cell([run.row() for run in self.runs])

    def by_cell(self, rows: Iterable[dict[str, Any]]) -> dict[Key, list[dict[str, Any]]]:
        """Rows of `runs`, in their order, cell by cell; a cell without a run has none."""
        found: dict[Key, list[dict[str, Any]]] = {key: [] for key in self.specs}
        for run, row in zip(self.runs, rows, strict=True):
            found[key_of(run.spec)].append(row)
        return found

    @cached_property
    def searched(self) -> Mapping[Key, Cell]:
        """What `dqviz search` found for these cells."""
        known = cells(self.dataset)
        return {key: known[key[1:]] for key in self.specs if key[1:] in known}

    def trials(self, key: Key) -> int:
        """How many trials chose the settings of a cell; 0 where they are the preset's."""
        return self.searched[key].found.spent if key in self.searched else 0

    @property
    def notes(self) -> list[str]:
        """What the runs say of their data set, each sentence once: a subset, for example."""
        return list(dict.fromkeys(str(note) for run in self.runs for note in run.summary.get("notes", ())))

    @property
    def folded(self) -> bool:
        """Are its seeds folds, so that there are no further ones?"""
        return self.dataset in FOLDED

    def learns(self, key: Key) -> bool:
        """Do the runs of this cell learn their step sizes?"""
        return key in self.specs and self.specs[key][0].method_settings.get("quantizer") == "lsq"

    def missing(self) -> dict[Key, str]:
        """Cell -> '7 of 10 seeds (2 queued, 1 failed: the loss became nan)', where a seed lacks."""
        found = {}
        for key, specs in self.specs.items():
            states = {row["seed"]: row for row in self.rows[key]}
            lacking = [states.get(s.seed) for s in specs if states.get(s.seed, {}).get("state") != "finished"]
            if lacking:
                found[key] = f"{len(specs) - len(lacking)} of {len(specs)} seeds ({_why(lacking)})"
        return found

    def more(self, wide: Collection[Key], seeds: int) -> Study | None:
        """These cells with seeds 0 to `seeds` - 1; None where there are none."""
        extra = [self.specs[key][0].model_copy(update={"seed": seed}) for key in wide for seed in range(seeds)]
        return Study(name=f"{self.study.name}, {seeds} seeds", runs=tuple(extra)) if extra else None

    def commands(self) -> list[str]:
        """All cells at once, then the first seed of each."""
        together = f"dqviz study start --preset {self.preset} --wait"
        return [together, *(train_command(specs[0]) for specs in self.specs.values())]


def train_command(spec: RunSpec) -> str:
    """`dqviz train` for a spec: every setting that stands in it and is not the default."""
    bits = spec.bits if isinstance(spec.bits, int) else ",".join(f"{site}={width}" for site, width in spec.bits.items())
    parts = ["dqviz train", f"--dataset {spec.dataset} --arch {spec.arch} --method {spec.method}", f"--bits {bits}",
             f"--seed {spec.seed} --epochs {spec.epochs} --profile {spec.profile}"]  # fmt: skip
    groups = {"": spec.optimizer.model_dump(exclude_defaults=True), "dataset.": spec.dataset_settings,
              "arch.": spec.arch_settings, "method.": spec.method_settings}  # fmt: skip
    settings = [f"{group}{name}={_scalar(value)}" for group, own in groups.items() for name, value in own.items()]
    return " ".join([*parts, *(f"--set {shlex.quote(one)}" for one in settings)])


def key_of(spec: Any) -> Key:
    """The cell that a run belongs to."""
    return spec.dataset, spec.arch, spec.method, spec.bits if isinstance(spec.bits, int) else 0


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _why(rows: Sequence[Mapping[str, Any] | None]) -> str:
    states: dict[str, int] = {}
    for row in rows:
        error = f": {row['error'].rstrip('.')}" if row and row["error"] else ""
        state = f"{row['state']}{error}" if row else "not started"
        states[state] = states.get(state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in states.items())
