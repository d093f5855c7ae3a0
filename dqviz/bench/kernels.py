"""bench kernels: one sparse and one dense product, float peers and integer backends interleaved in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.bench.bytes import bytes_of_spmm
from dqviz.bench.graphs import BenchGraph, load_graph
from dqviz.bench.peers import ENGINES, pyg
from dqviz.bench.protocol import measure, pinned, require_idle
from dqviz.bench.rows import PRECISIONS, Row, row
from dqviz.integer.codes import Codes, Grid, Int8
from dqviz.integer.csr import Csr, from_edges, order_by_row
from dqviz.integer.epilogue import Requantize
from dqviz.integer.kernels import BACKENDS, make
from dqviz.integer.weight import weight_of

Call = Callable[[str, int], Callable[[], Any]]
"""Backend name and thread count -> the timed call."""


@dataclass(frozen=True)
class Case:
    """One timed variant: `run` is the call, `exact` whether its result equals the reference (None: a float peer)."""

    op: str
    backend: str
    precision: str
    run: Callable[[], Any]
    bytes_moved: int
    exact: bool | None = None

    @property
    def name(self) -> str:
        return f"{self.op} {self.backend} {self.precision}"


def kernels(
    graph: str = "arxiv-size",
    *,
    features: int = 128,
    threads: Sequence[int] = (2,),
    repeats: int = 30,
    bits: Sequence[int] = (8, 4),
    force: bool = False,
) -> list[Row]:
    """Rows of `bench kernels` (DESIGN.md section 6): sparse product with requantization, dense product likewise.

    Integer results are codes (int8), float results float32. Raises BadInput for an unknown graph or thread count,
    Unavailable on a busy machine unless forced.
    """
    structure = load_graph(graph)
    rows = []
    for count in threads:
        with pinned(count):
            require_idle(force)
            cases = [*sparse_cases(structure, features, count, bits), *dense_cases(structure, features, count, bits)]
            sizes = (structure.num_nodes, structure.num_edges, features)
            timings = measure({case.name: case.run for case in cases}, repeats)
            rows += [row(case.op, case.backend, case.precision, graph, sizes, count, timings[case.name],
                         exact=case.exact, bytes_moved=case.bytes_moved) for case in cases]  # fmt: skip
    return rows


def sparse_cases(graph: BenchGraph, features: int, threads: int, bits: Sequence[int]) -> list[Case]:
    """GCN's normalised adjacency times a feature matrix."""
    edge_index, weight = gcn_norm(graph.edge_index, None, graph.num_nodes)
    matrix, weights = by_rows(edge_index, weight, graph.num_nodes)
    x = torch.randn(graph.num_nodes, features, generator=torch.Generator().manual_seed(0))
    products = {"pyg": pyg(edge_index, weight)} | {name: make_(matrix, weights) for name, make_ in ENGINES.items()}
    moved = bytes_of_spmm(matrix, features, 4, 4, 4)
    cases = [Case("spmm", name, "fp32", partial(product, x), moved) for name, product in products.items()]
    coefficients = quantized(matrix, weights)
    for width in bits:
        call = partial(spmm_call, coefficients, operand(x.shape, width), spread(width, features, 1e-3))
        cases += integer_cases("spmm", width, threads, call, bytes_of_spmm(matrix, features, 1, 1, 1))
    return cases


def dense_cases(graph: BenchGraph, features: int, threads: int, bits: Sequence[int]) -> list[Case]:
    """[num_nodes, features] times [features, features]; the float peer is the linear layer that PyG calls."""
    x = torch.randn(graph.num_nodes, features, generator=torch.Generator().manual_seed(0))
    dense = torch.nn.functional.linear
    square = torch.randn(features, features, generator=torch.Generator().manual_seed(1))
    cases = [Case("gemm", "pyg", "fp32", partial(dense, x, square), 4 * (2 * x.numel() + square.numel()))]
    for width in bits:
        weight = weight_of(random_codes((features, features), width), Grid(1.0, 0, width))
        codes = operand((graph.num_nodes, features), width)
        call = partial(gemm_call, codes, weight, spread(width, features, 1e-4))
        cases += integer_cases("gemm", width, threads, call, 2 * x.numel() + square.numel())
    return cases


def integer_cases(op: str, bits: int, threads: int, call: Call, moved: int) -> list[Case]:
    """A case for every backend that runs here, compared with the oracle; the oracle itself is not timed."""
    expected: Any = call("reference", 1)()
    cases = []
    for entry in BACKENDS:
        if entry.name != "reference" and entry.facts["class"].available():
            run = call(entry.name, threads)
            exact = bool(np.array_equal(run().values, expected.values))
            cases.append(Case(op, entry.name, PRECISIONS[bits], run, moved, exact))
    return cases


def spmm_call(matrix: Csr, x: Codes, epilogue: Requantize, backend: str, threads: int) -> Callable[[], Any]:
    kernel = make(backend, threads)
    return lambda: kernel.spmm(matrix, x, epilogue=epilogue)


def gemm_call(x: Codes, weight: Any, epilogue: Requantize, backend: str, threads: int) -> Callable[[], Any]:
    kernel = make(backend, threads)
    return lambda: kernel.gemm(x, weight, epilogue)


def by_rows(edge_index: Tensor, weight: Tensor, num_nodes: int) -> tuple[Csr, Tensor]:
    """(pattern by rows, weights in its order)."""
    source, target = edge_index.numpy()
    order, _ = order_by_row(target, num_nodes)
    return from_edges(source, target, num_nodes), weight[torch.from_numpy(order)]


def quantized(matrix: Csr, weights: Tensor) -> Csr:
    """The matrix with coefficients in 7 bits (unsigned 8-bit codes that happen to fit int8)."""
    scaled = weights * (127 / float(weights.max()))
    return replace(matrix, weights=scaled.round().to(torch.int8).numpy())


def random_codes(shape: Sequence[int], bits: int) -> Int8:
    rng = np.random.default_rng(bits)
    return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), tuple(shape)).astype(np.int8)


def operand(shape: Sequence[int], bits: int) -> Codes:
    """Random codes as a session holds them, with a zero point that is not 0."""
    return Codes.of(random_codes(shape, bits), Grid(1.0, 1, bits)).packed()


def spread(bits: int, channels: int, step: float) -> Requantize:
    """An epilogue whose codes use their whole range: 8-bit sums shrink by `step`, narrower ones by less."""
    return Requantize(np.full(channels, step), np.linspace(-1, 1, channels), True, Grid(1.0, 0, bits))
