"""bench kernels: one sparse and one dense product, float peers and integer backends interleaved in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.bench.bytes import bytes_of_spmm
from dqviz.bench.cases import About, Case, Tell, copy_case, fits, say_nothing, timed_rows
from dqviz.bench.graphs import BenchGraph, load_graph
from dqviz.bench.oracle import Oracle
from dqviz.bench.peers import ENGINES, pyg
from dqviz.bench.protocol import pinned, require_idle
from dqviz.bench.rows import PRECISIONS, Row, require_widths
from dqviz.integer import packing
from dqviz.integer.codes import Codes, Grid, Int8
from dqviz.integer.csr import Csr, from_edges, order_by_row
from dqviz.integer.epilogue import Requantize
from dqviz.integer.kernels import BACKENDS, Backend, make
from dqviz.integer.memory import on_a_line
from dqviz.integer.weight import weight_of

Call = Callable[[Backend], Callable[[], Any]]
"""Kernels -> the timed call."""


def kernels(
    graph: str = "arxiv-size",
    *,
    features: int = 128,
    threads: Sequence[int] = (2,),
    repeats: int = 30,
    bits: Sequence[int] = (8, 4, 2),
    force: bool = False,
    dense: bool = True,
    tell: Tell = say_nothing,
) -> list[Row]:
    """Rows of `bench kernels` (DESIGN.md section 6): sparse product with requantization, dense product likewise.

    Integer results are codes, packed where they have 4 or fewer bits; float results are float32. `dense` False leaves
    the dense product out; `tell` gets a sentence for what is not timed. Raises BadInput for an unknown graph or thread
    count, Unavailable on a busy machine unless forced.
    """
    require_widths(bits)
    structure = load_graph(graph)
    rows = []
    for count in threads:
        with pinned(count):
            require_idle(force)
            cases = sparse_cases(structure, features, count, bits, tell)
            cases += dense_cases(structure, features, count, bits) if dense else []
            sizes = (structure.num_nodes, structure.num_edges, features)
            rows += timed_rows([*cases, copy_case()], graph, sizes, count, repeats)
    return rows


def sparse_cases(
    graph: BenchGraph, features: int, threads: int, bits: Sequence[int], tell: Tell = say_nothing
) -> list[Case]:
    """GCN's normalised adjacency times a feature matrix."""
    edge_index, weight = gcn_norm(graph.edge_index, None, graph.num_nodes)
    matrix, weights = by_rows(edge_index, weight, graph.num_nodes)
    x = torch.randn(graph.num_nodes, features, generator=torch.Generator().manual_seed(0))
    products = {"pyg": pyg(edge_index, weight)} | {name: make_(matrix, weights) for name, make_ in ENGINES.items()}
    if not fits(2 * 4 * features * edge_index.size(1)):
        del products["pyg"]
        tell(f"pyg was not timed for spmm on {graph.name}: messages of all edges do not fit into the memory.")
    about = About(bytes_moved=bytes_of_spmm(matrix, 4 * features, 4, 4 * features), feature_bytes=4 * x.numel())
    cases = [Case("spmm", name, "fp32", partial(product, x), about) for name, product in products.items()]
    coefficients = quantized(matrix, weights)
    for width in bits:
        codes = operand(x.shape, width)
        call = partial(spmm_call, coefficients, codes, spread(width, features, 1e-3))
        row_bytes = packing.row_bytes(features, width)
        moved = bytes_of_spmm(matrix, row_bytes, 1, row_bytes)
        cases += integer_cases("spmm", width, threads, call, About(None, moved, None, codes.size_bytes))
    return cases


def dense_cases(graph: BenchGraph, features: int, threads: int, bits: Sequence[int]) -> list[Case]:
    """[num_nodes, features] times [features, features]; the float peer is the linear layer that PyG calls."""
    x = torch.randn(graph.num_nodes, features, generator=torch.Generator().manual_seed(0))
    dense = torch.nn.functional.linear
    square = torch.randn(features, features, generator=torch.Generator().manual_seed(1))
    about = About(None, 4 * (2 * x.numel() + square.numel()), 4 * square.numel(), 4 * x.numel())
    cases = [Case("gemm", "pyg", "fp32", partial(dense, x, square), about)]
    for width in bits:
        weight = weight_of(random_codes((features, features), width), Grid(1.0, 0, width))
        codes = operand((graph.num_nodes, features), width)
        call = partial(gemm_call, codes, weight, spread(width, features, 1e-4))
        held, weights = codes.size_bytes, int(weight.codes.nbytes)
        cases += integer_cases("gemm", width, threads, call, About(None, 2 * held + weights, weights, held))
    return cases


def integer_cases(op: str, bits: int, threads: int, call: Call, about: About) -> list[Case]:
    """A case for every backend that runs here, compared with the oracle; the oracle itself is not timed."""
    expected: Any = call(Oracle())()
    cases = []
    for entry in BACKENDS:
        if entry.name != "reference" and entry.facts["class"].available():
            run: Any = call(make(entry.name, threads))
            exact = bool(np.array_equal(run().values, expected.values))
            cases.append(Case(op, entry.name, PRECISIONS[bits], run, replace(about, exact=exact)))
    return cases


def spmm_call(matrix: Csr, x: Codes, epilogue: Requantize, kernel: Backend) -> Callable[[], Any]:
    return lambda: kernel.spmm(matrix, x, epilogue=epilogue)


def gemm_call(x: Codes, weight: Any, epilogue: Requantize, kernel: Backend) -> Callable[[], Any]:
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
    return Codes.of(on_a_line(random_codes(shape, bits)), Grid(1.0, 1, bits)).packed()


def spread(bits: int, channels: int, step: float) -> Requantize:
    """An epilogue whose codes use their whole range: 8-bit sums shrink by `step`, narrower ones by less."""
    return Requantize(np.full(channels, step), np.linspace(-1, 1, channels), True, Grid(1.0, 0, bits))
