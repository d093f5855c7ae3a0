"""Timed variants of one network on one graph: float peers and integer sessions, end to end and by operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqviz import integer
from dqviz.bench.bytes import bytes_of, moved_by
from dqviz.bench.cases import About, Case, Tell, fits, in_steps, say_nothing
from dqviz.bench.floats import composition
from dqviz.bench.onnx_graph import session_of
from dqviz.bench.oracle import Oracle
from dqviz.bench.peers import ENGINES
from dqviz.bench.steps import Step
from dqviz.errors import Unavailable
from dqviz.integer.graph import features_of
from dqviz.integer.kernels import BACKENDS
from dqviz.integer.ops import Frame
from dqviz.quant import twin

DENSE_LIMIT_BYTES = 2**29
"""A dense float32 feature matrix above this is not made."""
CLOSE = 1e-3
"""How far a float peer's logits may be from torch's, relative to the largest: sums in another order, no more."""


@dataclass(frozen=True, eq=False)
class Work:
    """A graph to run on: what a forward pass takes, and how it is called in a row.

    labels [rows] and judged (mask [rows] of the test split), where there are labels.
    """

    name: str
    x: Tensor
    edge_index: Tensor
    batch: Tensor | None = None
    labels: Tensor | None = None
    judged: Tensor | None = None

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.x.size(0), self.edge_index.size(1), self.x.size(1)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.x, self.edge_index) if self.batch is None else (self.x, self.edge_index, self.batch)

    @property
    def dense_bytes(self) -> int:
        return 4 * self.x.size(0) * self.x.size(1)

    def dense(self) -> Work | None:
        """The same with dense features; None where they would be too large."""
        if self.x.layout != torch.sparse_csr:
            return self
        if self.dense_bytes > DENSE_LIMIT_BYTES:
            return None
        return Work(self.name, self.x.to_dense(), self.edge_index, self.batch, self.labels, self.judged)

    def accuracy(self, logits: Any) -> float | None:
        """Share of the test split that these logits classify right; None without labels."""
        if self.labels is None or self.judged is None:
            return None
        hits = torch.as_tensor(logits).argmax(1) == self.labels
        return float(hits[self.judged].double().mean())


@dataclass(frozen=True, eq=False)
class Floats:
    """What all float variants of a network share: the stock network, the graph, and the logits that they must give."""

    stock: Any
    work: Work
    arch: str
    expected: Tensor

    def case(self, backend: str, run: Any, logits: Tensor, work: Work, steps: Sequence[Step] = ()) -> Case:
        """Raises ValueError where the logits are those of another network."""
        largest = float(self.expected.abs().max())
        if not torch.allclose(logits, self.expected, rtol=CLOSE, atol=CLOSE * largest):
            raise ValueError(f"Float peer {backend} does not compute the network {self.arch}.")
        held = sum(4 * weight.numel() for weight in self.stock.parameters())
        about = About(size_bytes=held, feature_bytes=tensor_bytes(work.x), accuracy=work.accuracy(logits))
        moved = {step.name: About(bytes_moved=step.moved) for step in steps}
        return Case(self.arch, backend, "fp32", run, about, moved)


def float_cases(
    model: nn.Module, stock: Any, work: Work, arch: str, threads: int, tell: Tell = say_nothing
) -> list[Case]:
    """PyG as its documentation writes it; our float model; compositions in steps; ONNX Runtime.

    PyG and ONNX Runtime get dense features; where those would be too large, PyG gets them as CSR. Every variant is
    compared with the network's logits before it is timed; `tell` gets a sentence for each that is not timed.
    """
    stock.eval()
    dense = work.dense()
    plain = dense or (None if stock.gathers else work)
    floats = Floats(stock, work, arch, run_twin(model.eval(), *work.inputs))
    cases = [floats.case("dqviz", partial(run_twin, model, *work.inputs), floats.expected, work)]
    if plain is None or not fits(message_bytes(stock, work)):
        tell(f"pyg was not timed for {arch} on {work.name}: its features or messages do not fit into the memory.")
    else:
        cases.append(floats.case("pyg", partial(stock, *plain.inputs), stock(*plain.inputs), plain))
    for engine in ENGINES:
        steps = composition(stock, engine, work.x, work.edge_index, work.batch)
        if steps:
            run = in_steps([step.name for step in steps], partial(run_steps, steps, work.x))
            cases.append(floats.case(engine, run, last_of(run_steps(steps, work.x)), work, steps))
    return [*cases, *onnx_cases(floats, dense, threads, tell)]


def onnx_cases(floats: Floats, plain: Work | None, threads: int, tell: Tell) -> list[Case]:
    """ONNX Runtime where it can express the network and its features are dense."""
    if plain is None:
        tell(f"onnxruntime was not timed on {floats.work.name}: dense features do not fit.")
        return []
    try:
        run = session_of(floats.stock, plain.x, plain.edge_index, plain.batch, threads)
    except Unavailable as reason:
        tell(f"{reason}; {floats.arch} on {plain.name} has no row of it.")
        return []
    return [floats.case("onnxruntime", run, torch.from_numpy(run()), plain)]


def message_bytes(stock: Any, work: Work) -> int:
    """What messages of all edges take at once, gathered and weighted, at the widest layer."""
    widest = max(sent_channels(conv) for conv in stock.convs)
    entering = work.x.size(1) if stock.gathers else 0
    return 2 * 4 * int(max(widest, entering)) * work.edge_index.size(1)


def sent_channels(conv: Any) -> int:
    """Channels of a message: of a layer's product; of a propagation, which has none, those of its rows."""
    products = [weight.shape[0] for weight in conv.parameters() if weight.dim() == 2]
    return max(products) if products else int(conv.channels)


def tensor_bytes(x: Tensor) -> int:
    """Features as a float variant holds them."""
    if x.layout != torch.sparse_csr:
        return x.numel() * x.itemsize
    return sum(part.numel() * part.itemsize for part in (x.crow_indices(), x.col_indices(), x.values()))


def run_twin(model: nn.Module, *inputs: Tensor) -> Any:
    with twin(model):
        return model(*inputs)


def run_steps(steps: Sequence[Step], start: Tensor) -> Iterator[Any]:
    """The value after each step."""
    value: Any = start
    for step in steps:
        value = step.run(value)
        yield value


def last_of(values: Iterator[Any]) -> Any:
    *_, last = values
    return last


def integer_cases(
    model: nn.Module,
    precision: str,
    work: Work,
    arch: str,
    threads: int,
    tell: Tell,
    backends: Sequence[str] = (),
) -> list[Case]:
    """Sessions of every backend that runs here (or of those named); `exact` against the reference.

    None without an integer form.
    """
    try:
        program = integer.plan(model)
    except Unavailable as reason:
        tell(f"{precision} was not timed for {arch}: {reason}")
        return []
    graph = integer.Session(program, "reference").prepare(work.edge_index, work.x.size(0), work.batch)
    expected = Frame(Oracle(), graph, {"x": features_of(work.x)})
    last_of(run_ops(program, expected))
    cases = []
    for entry in BACKENDS:
        chosen = entry.name in backends if backends else entry.name != "reference"
        if chosen and entry.facts["class"].available():
            session = integer.Session(program, entry.name, threads)
            cases += session_cases(session, session.frame(features_of(work.x), graph), expected, work, arch, precision)
    return cases


def session_cases(
    session: integer.Session, frame: Frame, expected: Frame, work: Work, arch: str, precision: str
) -> list[Case]:
    """End to end, and the same program one operation after the other for the time of each."""
    name, ops = session.backend_name, session.plan.ops
    session.execute(frame)
    logits = session.execute(frame)  # what is timed: a replay
    whole = About(
        same(logits, expected.values["logits"]), None, int(session.plan.size_bytes),
        bytes_of(frame.values[ops[0].target]), work.accuracy(logits),
    )  # fmt: skip
    last_of(run_ops(session.plan, frame))
    steps = {
        op.name: About(same(frame.values[op.target], expected.values[op.target]), moved_by(op, frame)) for op in ops
    }
    parts = in_steps([op.name for op in ops], partial(run_ops, session.plan, frame))
    return [Case(arch, name, precision, partial(session.execute, frame), whole),
            Case("", name, precision, parts, steps=steps)]  # fmt: skip


def run_ops(program: integer.Plan, frame: Frame) -> Iterator[None]:
    """One operation after the other, on the kernels of the frame."""
    for op in program.ops:
        op.run(frame)
        yield


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
