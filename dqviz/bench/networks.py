"""Timed variants of one network on one graph: float peers and integer sessions, end to end and by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqviz import integer
from dqviz.bench.bytes import moved_by
from dqviz.bench.floats import Step, composition, first_input
from dqviz.bench.peers import ENGINES
from dqviz.errors import Unavailable
from dqviz.integer.graph import features_of
from dqviz.integer.kernels import BACKENDS
from dqviz.integer.ops import Frame
from dqviz.quant import twin

DENSE_LIMIT_BYTES = 2**29
"""A dense float32 feature matrix above this is not made."""


@dataclass(frozen=True, eq=False)
class Work:
    """A graph to run on: what a forward pass takes, and how it is called in a row."""

    name: str
    x: Tensor
    edge_index: Tensor
    batch: Tensor | None = None

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.x.size(0), self.edge_index.size(1), self.x.size(1)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.x, self.edge_index) if self.batch is None else (self.x, self.edge_index, self.batch)

    @property
    def dense_bytes(self) -> int:
        return 4 * self.x.size(0) * self.x.size(1)


@dataclass(frozen=True)
class Case:
    """One timed variant of one operation."""

    op: str
    backend: str
    precision: str
    run: Callable[[], Any]
    exact: bool | None = None
    bytes_moved: int | None = None

    @property
    def name(self) -> str:
        return f"{self.op} {self.backend} {self.precision}"


def float_cases(model: nn.Module, stock: Any, work: Work, arch: str) -> list[Case]:
    """PyG on dense features as its documentation writes it; our float model; compositions with their operations."""
    plain = work
    if work.x.layout == torch.sparse_csr and work.dense_bytes <= DENSE_LIMIT_BYTES:
        plain = Work(work.name, work.x.to_dense(), work.edge_index, work.batch)
    stock.eval()
    cases = [
        Case(arch, "pyg", "fp32", partial(stock, *plain.inputs)),
        Case(arch, "dqviz", "fp32", partial(run_twin, model.eval(), *work.inputs)),
    ]
    for engine in ENGINES:
        steps = composition(stock, engine, work.x, work.edge_index, work.batch)
        if steps:
            start = first_input(stock, work.x)
            cases.append(Case(arch, engine, "fp32", partial(run_steps, steps, start)))
            cases += step_cases(steps, start, engine)
    return cases


def run_twin(model: nn.Module, *inputs: Tensor) -> Any:
    with twin(model):
        return model(*inputs)


def run_steps(steps: Sequence[Step], start: Tensor) -> Tensor:
    value = start
    for step in steps:
        value = step.run(value)
    return value


def step_cases(steps: Sequence[Step], start: Tensor, engine: str) -> list[Case]:
    cases, value = [], start
    for step in steps:
        cases.append(Case(step.name, engine, "fp32", partial(step.run, value)))
        value = step.run(value)
    return cases


def integer_cases(model: nn.Module, precision: str, work: Work, arch: str, threads: int) -> list[Case]:
    """Sessions of every backend that runs here; `exact` against the reference. None without an integer form."""
    try:
        program = integer.plan(model)
    except Unavailable:
        return []
    oracle = integer.Session(program, "reference")
    graph = oracle.prepare(work.edge_index, work.x.size(0), work.batch)
    expected = oracle.frame(features_of(work.x), graph)
    oracle.execute(expected)
    cases = []
    for entry in BACKENDS:
        if entry.name != "reference" and entry.facts["class"].available():
            session = integer.Session(program, entry.name, threads)
            frame = session.frame(features_of(work.x), graph)
            session.execute(frame)
            cases += session_cases(session, frame, expected, arch, precision)
    return cases


def session_cases(session: integer.Session, frame: Frame, expected: Frame, arch: str, precision: str) -> list[Case]:
    """End to end, then every operation on the values that stand in `frame`."""
    name = session.backend_name
    exact = same(frame.values["logits"], expected.values["logits"])
    cases = [Case(arch, name, precision, partial(session.execute, frame), exact)]
    for op in session.plan.ops:
        exact = same(frame.values[op.target], expected.values[op.target])
        cases.append(Case(op.name, name, precision, partial(op.run, frame), exact, moved_by(op, frame)))
    return cases


def same(left: Any, right: Any) -> bool:
    """Equal to the bit: arrays, dense codes, or sparse codes (as sets of entries)."""
    if hasattr(left, "matrix"):
        return sorted_entries(left.matrix) == sorted_entries(right.matrix)
    return bool(np.array_equal(getattr(left, "values", left), getattr(right, "values", right)))


def sorted_entries(matrix: Any) -> bytes:
    """Non-zero entries by row and column, as bytes."""
    row, kept = matrix.row_of_entry(), matrix.weights != 0
    order = np.lexsort((matrix.indices[kept], row[kept]))
    parts = (
        row[kept][order],
        matrix.indices[kept][order].astype(np.int64),
        matrix.weights[kept][order].astype(np.int64),
    )
    return b"".join(part.tobytes() for part in parts)
