"""Rows of `bench kernels`, the graphs it runs on, and the float peers: all must compute the same product."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dqviz.bench import GRAPHS, kernels
from dqviz.bench import kernels as kernels_function
from dqviz.bench.bytes import bytes_of_spmm
from dqviz.bench.graphs import BenchGraph, heavy_tailed, load_graph
from dqviz.bench.kernels import Case, by_rows, integer_cases, spread
from dqviz.bench.peers import ENGINES, pyg
from dqviz.columns import TABLES
from dqviz.errors import BadInput
from dqviz.integer.csr import from_edges
from dqviz.integer.kernels import BACKENDS


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> BenchGraph:
    graph = heavy_tailed("small", 300, 2_300)
    monkeypatch.setitem(GRAPHS, "small", lambda: graph)
    return graph


def test_rows_have_the_columns_of_the_latency_table(small: BenchGraph) -> None:
    rows = kernels("small", features=24, threads=(1,), repeats=5, force=True)
    assert all(tuple(found) == TABLES["latency"] for found in rows)
    found = {(r["op"], r["backend"], r["precision"]): r for r in rows}
    for backend in ("pyg", "torch-csr", "fbgemm", "numba"):
        assert found["spmm", backend, "fp32"]["exact"] is None
    for op in ("spmm", "gemm"):
        for precision in ("int8", "int4"):
            assert found[op, "numba", precision]["exact"] is True
    assert {(r["num_nodes"], r["num_edges"], r["features"], r["repeats"]) for r in rows} == {(300, 2_000, 24, 5)}
    assert all(r["p10_ms"] <= r["median_ms"] <= r["p90_ms"] for r in rows)


def test_a_wrong_result_is_not_called_exact() -> None:
    def call(backend: str, threads: int) -> object:
        return lambda: np.zeros(3) if backend == "reference" else np.ones(3)

    cases: list[Case] = integer_cases("spmm", 8, 1, call, 0)
    assert [case.exact for case in cases] == [False] * (len(BACKENDS.names()) - 1)


def test_float_peers_agree(small: BenchGraph) -> None:
    weight = torch.rand(small.num_edges)
    matrix, weights = by_rows(small.edge_index, weight, small.num_nodes)
    x = torch.randn(small.num_nodes, 9)
    expected = pyg(small.edge_index, weight)(x)
    for engine in ENGINES.values():
        torch.testing.assert_close(engine(matrix, weights)(x), expected, rtol=1e-4, atol=1e-5)


def test_heavy_tailed_graphs_are_seeded_and_of_the_size_they_say() -> None:
    first, again, other = (heavy_tailed("g", 2_000, 30_000, seed) for seed in (0, 0, 1))
    assert first.num_edges == 30_000 - 2_000
    assert torch.equal(first.edge_index, again.edge_index)
    assert not torch.equal(first.edge_index, other.edge_index)
    source, target = first.edge_index
    assert (source != target).all()
    assert len(torch.unique(source * 2_000 + target)) == first.num_edges
    degree = torch.bincount(target, minlength=2_000)
    assert torch.equal(degree, torch.bincount(source, minlength=2_000))
    assert degree.max() > 8 * degree.median()


@pytest.mark.parametrize(("name", "nodes", "edges"), [("cora", 2_708, 10_556), ("slashdot", 82_168, 870_161)])
def test_published_graphs(name: str, nodes: int, edges: int) -> None:
    graph = load_graph(name)
    assert (graph.num_nodes, graph.num_edges) == (nodes, edges)


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(BadInput, match="arxiv-size"):
        kernels_function("nowhere")
    with pytest.raises(BadInput, match="choose 1 to"):
        kernels_function("cora", threads=(10_000,))


def test_bytes_by_hand() -> None:
    matrix = from_edges(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    assert bytes_of_spmm(matrix, features=5, weight=1, value=1, out=1) == 3 * (4 + 1 + 5) + 2 * (8 + 5)


def test_narrow_epilogues_stay_on_their_grid() -> None:
    assert spread(4, 3, 1e-3).out.qmax == 7
