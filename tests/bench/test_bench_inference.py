"""Rows of whole networks: every float composition computes the same network, every session equals the reference."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch_geometric.nn import GATConv

from dqviz import nn as archs
from dqviz.bench import GRAPHS, inference, measure
from dqviz.bench.floats import composition, gat_steps
from dqviz.bench.graphs import SWEEP, heavy_tailed
from dqviz.bench.inference import own_work, stock_of, with_sweep
from dqviz.bench.networks import Floats, last_of, run_steps, same
from dqviz.bench.onnx_graph import missing, session_of
from dqviz.bench.peers import ENGINES, own_name
from dqviz.bench.sample import MinMax, sample_features, sample_model
from dqviz.bench.steps import Place
from dqviz.columns import TABLES
from dqviz.data import Task, load
from dqviz.integer.codes import Codes, Grid
from dqviz.quant import quantize

PROPAGATIONS = ("appnp", "smp")
"""Not written as ONNX graphs."""
SETTINGS: dict[str, Any] = {"hidden": 8, "dropout": 0.5}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    graph = heavy_tailed("small", 300, 2_300)
    monkeypatch.setitem(GRAPHS, "small", lambda: graph)
    return "small"


def network(task: Task, arch: str, bits: int = 8, profile: Any = "integer") -> torch.nn.Module:
    model = archs.make(arch, task.num_features, task.num_classes, task.kind, SETTINGS)
    quantize(model, MinMax(), bits, profile)
    with torch.no_grad():
        model.train()(*own_work(task).inputs)
    return model.eval()


def stock(task: Task, arch: str) -> torch.nn.Module:
    return archs.make(arch, task.num_features, task.num_classes, task.kind, SETTINGS)


@pytest.mark.parametrize("arch", archs.ARCHS.names())
def test_a_node_network_on_its_own_graph_and_on_a_larger_one(arch: str, small: str) -> None:
    task = load("dc-sbm", {})
    rows = measure(
        [network(task, arch)], stock(task, arch), task, arch, threads=1, repeats=5, graphs=(small,), force=True
    )
    assert all(tuple(row) == TABLES["latency"] for row in rows)
    peers = {"pyg", "dqviz", "torch-csr", "fbgemm", own_name()}
    peers |= {"onnxruntime"} if arch not in PROPAGATIONS and not missing() else set()
    first = {"gin": "gin/0/gemm1"} | dict.fromkeys(PROPAGATIONS, "propagation/mlp1")
    for graph in (task.name, small):
        whole = {row["backend"]: row for row in rows if row["op"] == arch and row["graph"] == graph}
        assert set(whole) == peers | {"numba", own_name()}
        ints = [row for row in rows if row["precision"] == "int8" and row["graph"] == graph]
        assert ints
        assert all(row["exact"] is True for row in ints)
        floats = {row["op"] for row in rows if row["backend"] == "fbgemm" and row["graph"] == graph}
        assert {first.get(arch, f"{arch}/0/gemm"), arch} <= floats
    assert all(row["exact"] is None for row in rows if row["precision"] == "fp32")


def test_whole_networks_say_what_they_hold_and_how_well_they_classify(small: str) -> None:
    task = load("karate", {})
    task = replace(task, graphs=[task.graphs[0].clone()])
    task.graphs[0].x = task.graphs[0].x.to_dense()
    models = [network(task, "gcn", bits) for bits in (8, 2)]
    rows = measure(models, stock(task, "gcn"), task, "gcn", threads=1, repeats=5, graphs=(small,), force=True)
    own = [row for row in rows if row["op"] == "gcn" and row["graph"] == task.name]
    by_precision = {row["precision"]: row for row in own}
    nodes, features = own[0]["num_nodes"], own[0]["features"]
    assert by_precision["fp32"]["feature_bytes"] == 4 * nodes * features
    assert by_precision["int8"]["feature_bytes"] == nodes * features
    assert by_precision["int2"]["feature_bytes"] == nodes * -(-features // 4)
    assert by_precision["int8"]["size_bytes"] < by_precision["fp32"]["size_bytes"] / 3
    logits = stock(task, "gcn")
    stock_of(models[0], logits)
    right = logits.eval()(*own_work(task).inputs).argmax(1) == task.graphs[0].y
    expected = float(right[task.splits["test"]].double().mean())
    assert by_precision["fp32"]["accuracy"] == pytest.approx(expected)
    assert all(0 <= row["accuracy"] <= 1 for row in own)
    assert all(row["accuracy"] is None for row in rows if row["graph"] == small)


def test_a_graph_network_pools_and_classifies(small: str) -> None:
    task = load("mutag", {})
    rows = measure([network(task, "gin")], stock(task, "gin"), task, "gin", threads=1, repeats=5, force=True)
    assert {row["graph"] for row in rows} == {"mutag"}
    assert {"gin/pool", "gin/head"} <= {row["op"] for row in rows if row["precision"] == "int8"}
    assert all(row["accuracy"] is not None for row in rows if row["op"] == "gin")


def test_a_network_without_an_integer_form_gives_its_float_rows() -> None:
    task = load("karate", {})
    notes: list[str] = []
    rows = measure(
        [network(task, "gat", profile="paper")], stock(task, "gat"), task, "gat", threads=1, repeats=5, graphs=(),
        force=True, tell=notes.append,
    )  # fmt: skip
    assert {row["precision"] for row in rows} == {"fp32"}
    assert {("gat", "pyg"), ("gat", "dqviz"), ("copy", "dqviz")} <= {(row["op"], row["backend"]) for row in rows}


@pytest.mark.parametrize("arch", archs.ARCHS.names())
@pytest.mark.parametrize("name", ["dc-sbm", "mutag", "cora"])
def test_float_peers_compute_the_network(arch: str, name: str) -> None:
    """Of 8 channels and of 64: sums before the product and after it; CSR features (Cora) and dense ones."""
    task = load(name, {})
    work = own_work(task)
    for settings in (SETTINGS, {"hidden": 64, "layers": 3, "dropout": 0.5}):
        plain = archs.make(arch, task.num_features, task.num_classes, task.kind, settings).eval()
        dense = work.dense()
        assert dense is not None
        with torch.no_grad():
            expected = plain(*dense.inputs)
            for engine in ENGINES:
                steps = composition(plain, engine, work.x, work.edge_index, work.batch)
                assert_close(last_of(run_steps(steps, work.x)), expected)
            if arch not in PROPAGATIONS and not missing():
                assert_close(
                    torch.from_numpy(session_of(plain, dense.x, *dense.inputs[1:2], dense.batch, 1)()), expected
                )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_propagation_that_keeps_some_of_its_rows(engine: str) -> None:
    """SMP with other mu and eta: three terms a step, multipliers unlike each other."""
    task = load("karate", {})
    settings = {"mu": 4.0, "eta": 0.15, "layers": 3, "hidden": 8}
    model: Any = archs.make("smp", task.num_features, task.num_classes, "node", settings).eval()
    model.multiplier.copy_(torch.tensor([0.5, -1.0, 2.0]))
    work = own_work(task)
    with torch.no_grad():
        steps = composition(model, engine, work.x, work.edge_index, None)
        assert_close(last_of(run_steps(steps, work.x)), model(*work.inputs))


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("engine", ENGINES)
def test_attention_with_huge_logits_stays_finite(engine: str) -> None:
    """exp overflows without subtracting a maximum; nodes without edges have nothing to divide by."""
    conv = GATConv(6, 5, heads=3, add_self_loops=False).eval()
    edge_index = heavy_tailed("g", 40, 200).edge_index[:, :60]
    x = 300 * torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    place = Place("gat/0", engine, edge_index, 40, None, lambda h: h)
    with torch.no_grad():
        assert_close(last_of(run_steps(gat_steps(conv, place), x)), conv(x, edge_index))


def test_a_peer_that_computes_something_else_is_not_timed() -> None:
    task = load("karate", {})
    plain, work = stock(task, "gcn").eval(), own_work(task)
    with torch.no_grad():
        floats = Floats(plain, work, "gcn", plain(*work.inputs))
        floats.case("pyg", None, floats.expected, work)
        with pytest.raises(ValueError, match="Float peer pyg does not compute the network gcn"):
            floats.case("pyg", None, floats.expected + floats.expected.abs().max(), work)


def test_without_onnx_runtime_its_row_is_missing_and_the_reason_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    task = load("karate", {})
    notes: list[str] = []
    rows = measure(
        [network(task, "gcn")], stock(task, "gcn"), task, "gcn", threads=1, repeats=5, graphs=(), force=True,
        tell=notes.append,
    )  # fmt: skip
    assert "onnxruntime" not in {row["backend"] for row in rows}
    assert any("ONNX Runtime: not installed (onnxruntime)" in note for note in notes)


def test_inference_rows_without_a_trained_model(small: str) -> None:
    rows = inference(small, archs=("gcn",), threads=(1,), repeats=5, bits=(8, 4), force=True)
    whole = {(row["backend"], row["precision"]) for row in rows if row["op"] == "gcn"}
    assert {("pyg", "fp32"), ("fbgemm", "fp32"), ("numba", "int8"), ("numba", "int4")} <= whole
    assert all(row["exact"] for row in rows if row["precision"] != "fp32")
    spmm = [row for row in rows if row["op"] == "gcn/0/spmm" and row["precision"] == "int8"]
    assert all(row["bytes_moved"] > row["num_edges"] * 256 for row in spmm)
    assert [row["op"] for row in rows if row["backend"] == "dqviz"] == ["gcn", "copy"]


def test_the_sample_gat_has_four_heads_of_64() -> None:
    model = sample_model("gat", None)
    assert [(conv.heads, conv.out_channels) for conv in model.convs] == [(4, 64), (4, 64), (1, 40)]


def test_a_measurement_on_larger_graphs_has_the_sweep() -> None:
    assert with_sweep(()) == ()
    assert with_sweep(("arxiv-size", "small")) == (*SWEEP, "small")


def test_a_stock_network_gets_the_weights_of_the_quantized_one() -> None:
    task = load("karate", {})
    for arch in archs.ARCHS.names():
        model, plain = network(task, arch), stock(task, arch)
        stock_of(model, plain)
        weights = dict(plain.named_parameters())
        for name, value in model.named_parameters():
            plain_name = name.replace("parametrizations.", "").removesuffix(".original")
            assert torch.equal(weights[plain_name], value)


def test_sample_networks_are_of_arxiv_sizes_and_seeded() -> None:
    first, again = sample_model("gcn", None), sample_model("gcn", None)
    assert [tuple(conv.lin.weight.shape) for conv in first.convs] == [(256, 128), (256, 256), (40, 256)]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_sample_features_have_the_density_of_the_data_set() -> None:
    x = load("cora", {}).graphs[0].x
    found = sample_features(500, x)
    assert found.layout == torch.sparse_csr
    assert found.shape == (500, 1433)
    assert abs(found.values().numel() / 500 - x.values().numel() / 2708) < 1


def test_a_differing_value_is_not_the_same() -> None:
    left, right = torch.zeros(3, 2).char().numpy(), torch.zeros(3, 2).char().numpy()
    right[2, 1] = 1
    grid = Grid(1.0, 0, 4)
    assert same(Codes.of(left, grid), Codes.of(left.copy(), grid))
    assert same(Codes.of(left, grid), Codes.of(left, grid).packed())
    assert not same(Codes.of(left, grid), Codes.of(right, grid))
