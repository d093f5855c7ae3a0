"""Rows of `bench kernels`, the graphs it runs on, and the float peers: all must compute the same product."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from dqviz.bench import GRAPHS, compared, kernels, scale
from dqviz.bench import kernels as kernels_function
from dqviz.bench.bytes import bytes_of_spmm
from dqviz.bench.cases import COPY_BYTES, About, Case
from dqviz.bench.graphs import MEAN_ENTRIES, SWEEP, BenchGraph, heavy_tailed, load_graph
from dqviz.bench.kernels import by_rows, integer_cases, spread
from dqviz.bench.oracle import Oracle
from dqviz.bench.peers import ENGINES, own_name, pyg
from dqviz.columns import TABLES
from dqviz.errors import BadInput
from dqviz.integer.codes import Codes, Grid
from dqviz.integer.csr import from_edges
from dqviz.integer.epilogue import Requantize
from dqviz.integer.kernels import Backend
from dqviz.integer.kernels.native import Native
from dqviz.integer.kernels.reference import Reference
from dqviz.integer.weight import weight_of

kernels_module = sys.modules["dqviz.bench.kernels"]  # the package gives its function the same name


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> BenchGraph:
    graph = heavy_tailed("small", 300, 2_300)
    monkeypatch.setitem(GRAPHS, "small", lambda: graph)
    return graph


def test_rows_have_the_columns_of_the_latency_table(small: BenchGraph) -> None:
    rows = kernels("small", features=24, threads=(1,), repeats=5, force=True)
    assert all(tuple(found) == TABLES["latency"] for found in rows)
    found = {(r["op"], r["backend"], r["precision"]): r for r in rows}
    for backend in ("pyg", "torch-csr", "fbgemm", own_name()):
        assert found["spmm", backend, "fp32"]["exact"] is None
    for op in ("spmm", "gemm"):
        for precision in ("int8", "int4", "int2"):
            assert found[op, "numba", precision]["exact"] is True
    assert found["copy", "dqviz", "fp32"]["bytes_moved"] == COPY_BYTES
    assert {(r["num_nodes"], r["num_edges"], r["features"], r["repeats"]) for r in rows} == {(300, 2_000, 24, 5)}
    assert all(r["p10_ms"] <= r["median_ms"] <= r["p90_ms"] for r in rows)


def test_a_wrong_result_is_not_called_exact() -> None:
    def call(kernel: Backend) -> object:
        return lambda: Codes.of(np.full((3, 1), isinstance(kernel, Oracle), np.int8), Grid(1.0, 0, 8))

    cases: list[Case] = integer_cases("spmm", 8, 1, call, About())
    assert cases
    assert not any(case.about.exact for case in cases)


@pytest.mark.parametrize("heads", [0, 2])
def test_the_fast_oracle_equals_the_reference(small: BenchGraph, heads: int) -> None:
    source, target = small.edge_index.numpy()
    rng = np.random.default_rng(heads)
    weights = rng.integers(0, 128, (len(source), heads) if heads else len(source)).astype(np.int8)
    matrix = from_edges(source, target, small.num_nodes, weights)
    x = Codes.of(rng.integers(-128, 128, (small.num_nodes, 12)).astype(np.int8), Grid(1.0, 5, 8))
    epilogue = Requantize(np.full(12, 1e-3), np.linspace(-3, 3, 12), True, Grid(1.0, -3, 8))
    weight = weight_of(rng.integers(-128, 128, (12, 7)).astype(np.int8), Grid(1.0, 9, 8))
    for finish, own in ((None, 0.0), (epilogue, 0.0), (epilogue, 1.3)):
        one, other = (kernel.spmm(matrix, x, own=own, epilogue=finish) for kernel in (Oracle(), Reference()))
        np.testing.assert_array_equal(getattr(one, "values", one), getattr(other, "values", other))
    np.testing.assert_array_equal(Oracle().gemm(x, weight), Reference().gemm(x, weight))


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
    assert bytes_of_spmm(matrix, read=5, weight=1, written=3) == 3 * (4 + 1 + 5) + 2 * (8 + 3)


def test_packed_features_count_as_they_lie_in_memory(small: BenchGraph) -> None:
    rows = [row for row in kernels("small", features=64, threads=(1,), repeats=5, force=True) if row["op"] == "spmm"]
    entries, nodes = small.num_edges + small.num_nodes, small.num_nodes
    for precision, a_row in (("fp32", 256), ("int8", 64), ("int4", 32), ("int2", 16)):
        row = next(row for row in rows if row["precision"] == precision)
        weight = 4 if precision == "fp32" else 1
        assert row["feature_bytes"] == nodes * a_row
        assert row["bytes_moved"] == entries * (4 + weight + a_row) + nodes * (8 + a_row)


def test_a_peer_that_does_not_fit_is_left_out_and_named(small: BenchGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "fits", lambda size_bytes: False)
    notes: list[str] = []
    rows = kernels("small", features=8, threads=(1,), repeats=5, force=True, dense=False, tell=notes.append)
    assert {row["op"] for row in rows} == {"spmm", "copy"}
    assert "pyg" not in {row["backend"] for row in rows}
    assert len(notes) == 1
    assert notes[0].startswith("pyg was not timed for spmm on small")


def test_our_own_float_kernel_is_named_after_the_backend_that_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_name() in ENGINES
    monkeypatch.setattr(Native, "missing", lambda: "native kernels: not built (no compiler)")
    assert own_name() == "numba"


def test_speedups_compare_rows_of_the_same_thing(small: BenchGraph) -> None:
    rows = compared(kernels("small", features=8, threads=(1,), repeats=5, force=True, bits=(8,), dense=False))
    spmm = [row for row in rows if row["op"] == "spmm"]
    best = min(row["median_ms"] for row in spmm if row["precision"] == "fp32")
    pyg_ms = next(row["median_ms"] for row in spmm if row["backend"] == "pyg")
    copied = next(row for row in rows if row["op"] == "copy")
    assert copied["bandwidth_share"] == 1
    for row in spmm:
        assert row["speedup"] == pytest.approx(best / row["median_ms"])
        assert row["speedup_pyg"] == pytest.approx(pyg_ms / row["median_ms"])
        share = row["bytes_moved"] / row["median_ms"] / (COPY_BYTES / copied["median_ms"])
        assert row["bandwidth_share"] == pytest.approx(share)
    alone = compared([row for row in rows if row["precision"] == "int8"])
    assert [(row["speedup"], row["bandwidth_share"]) for row in alone] == [(None, None)] * len(alone)


def test_a_scale_curve_has_the_product_and_a_network_on_every_graph(small: BenchGraph) -> None:
    rows = scale(features=8, threads=(1,), repeats=5, bits=(8,), graphs=("small",), force=True)
    assert {"spmm", "gcn", "copy"} <= {row["op"] for row in rows}
    assert "gemm" not in {row["op"] for row in rows}
    assert sum(row["op"] == "copy" for row in rows) == 1


def test_the_graphs_of_the_sweep_grow_at_the_same_mean_degree() -> None:
    graphs = [load_graph(name) for name in SWEEP[:2]]
    entries = [(graph.num_edges + graph.num_nodes) / graph.num_nodes for graph in graphs]
    assert [graph.num_nodes for graph in graphs] == [1_000, 5_000]
    assert entries == pytest.approx([MEAN_ENTRIES] * 2, rel=1e-3)


def test_narrow_epilogues_stay_on_their_grid() -> None:
    assert spread(4, 3, 1e-3).out.qmax == 7
