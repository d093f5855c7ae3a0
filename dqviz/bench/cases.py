"""Timed variants and the rows they become. A variant in steps gives one row for the whole and one for each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch

from dqviz.bench.protocol import Laps, Timing, Variant, give_back_memory, measure
from dqviz.bench.rows import Row, row

COPY = "copy"
COPY_BYTES = 2**28
"""Bytes read and written by the copy: more than any cache of this class of machine."""
ROOM = 0.7
"""Share of the free memory that one variant may take for values it makes and throws away."""

Tell = Callable[[str], object]
"""Takes a sentence about what was not timed, and why."""


def say_nothing(sentence: str) -> None:
    """A Tell for who does not ask."""


@dataclass(frozen=True)
class About:
    """What a row says besides times. exact: equals the reference to the bit; None where there is no reference."""

    exact: bool | None = None
    bytes_moved: int | None = None
    size_bytes: int | None = None
    feature_bytes: int | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Case:
    """One timed variant: what it is, the call, and what its rows say; `steps`: the same of each step.

    `op` is '' for a variant that is timed for its steps alone.
    """

    op: str
    backend: str
    precision: str
    run: Variant
    about: About = field(default_factory=About)
    steps: Mapping[str, About] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.op} {self.backend} {self.precision}"


def timed_rows(cases: Sequence[Case], graph: str, sizes: tuple[int, int, int], threads: int, repeats: int) -> list[Row]:
    """All cases interleaved in one measurement, wholes before steps. sizes: (num_nodes, num_edges, features)."""
    timings = measure({case.name: case.run for case in cases}, repeats)
    rows = [(case, case.op, timings[case.name], case.about) for case in cases if case.op]
    rows += [(case, *step) for case in cases for step in steps_of(case, timings[case.name])]
    return [row(op, case.backend, case.precision, graph, sizes, threads, timing, **vars(about))
            for case, op, timing, about in rows]  # fmt: skip


def steps_of(case: Case, timing: Timing) -> Iterator[tuple[str, Timing, About]]:
    for name, found in timing.steps.items():
        yield name, found, case.steps.get(name, About())


def copy_case() -> Case:
    """A plain copy of a block that no cache holds: the bandwidth that other rows are held against."""
    source = torch.ones(COPY_BYTES // 8)
    target = torch.empty_like(source)
    return Case(COPY, "dqviz", "fp32", lambda: target.copy_(source), About(bytes_moved=COPY_BYTES))


def copy_rows(graph: str, sizes: tuple[int, int, int], threads: int, repeats: int) -> list[Row]:
    return timed_rows([copy_case()], graph, sizes, threads, repeats)


def in_steps(names: Sequence[str], run: Callable[[], Iterator[Any]]) -> Laps:
    """A variant whose `run` yields once after each of the named steps."""

    def laps() -> Iterator[str]:
        for name, _ in zip(names, run(), strict=True):
            yield name

    return Laps(laps)


def fits(size_bytes: int) -> bool:
    """Whether values of this size leave the machine room to breathe: a variant that does not fit is not timed."""
    give_back_memory()
    return size_bytes <= ROOM * psutil.virtual_memory().available
