"""Rows of whole networks: every float composition computes the same network, every session equals the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dqviz import nn as archs
from dqviz.bench import GRAPHS, inference, measure
from dqviz.bench.floats import composition, first_input
from dqviz.bench.graphs import heavy_tailed
from dqviz.bench.inference import own_work, stock_of
from dqviz.bench.networks import run_steps, same
from dqviz.bench.peers import ENGINES
from dqviz.bench.sample import MinMax, sample_features, sample_model
from dqviz.columns import TABLES
from dqviz.data import Task, load
from dqviz.integer.codes import Codes, Grid
from dqviz.quant import quantize

SETTINGS: dict[str, Any] = {"hidden": 8, "dropout": 0.5}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    graph = heavy_tailed("small", 300, 2_300)
    monkeypatch.setitem(GRAPHS, "small", lambda: graph)
    return "small"


def network(task: Task, arch: str, bits: int = 8) -> torch.nn.Module:
    model = archs.make(arch, task.num_features, task.num_classes, task.kind, SETTINGS)
    quantize(model, MinMax(), bits, "integer")
    with torch.no_grad():
        model.train()(*own_work(task).inputs)
    return model.eval()


def stock(task: Task, arch: str) -> torch.nn.Module:
    return archs.make(arch, task.num_features, task.num_classes, task.kind, SETTINGS)


@pytest.mark.parametrize("arch", ["gcn", "gin"])
def test_a_node_network_on_its_own_graph_and_on_a_larger_one(arch: str, small: str) -> None:
    task = load("dc-sbm", {})
    rows = measure(
        [network(task, arch)], stock(task, arch), task, arch, threads=1, repeats=5, graphs=(small,), force=True
    )
    assert all(tuple(row) == TABLES["latency"] for row in rows)
    for graph in (task.name, small):
        whole = {row["backend"]: row for row in rows if row["op"] == arch and row["graph"] == graph}
        assert set(whole) == {"pyg", "dqviz", "torch-csr", "fbgemm", "numba"}
        ints = [row for row in rows if row["precision"] == "int8" and row["graph"] == graph]
        assert ints
        assert all(row["exact"] is True for row in ints)
        floats = {row["op"] for row in rows if row["backend"] == "fbgemm" and row["graph"] == graph}
        assert floats == {row["op"] for row in ints} - {f"{arch}/quantize"}
    assert all(row["exact"] is None for row in rows if row["precision"] == "fp32")


def test_a_graph_network_pools_and_classifies(small: str) -> None:
    task = load("mutag", {})
    rows = measure([network(task, "gin")], stock(task, "gin"), task, "gin", threads=1, repeats=5, force=True)
    assert {row["graph"] for row in rows} == {"mutag"}
    assert {"gin/pool", "gin/head"} <= {row["op"] for row in rows if row["precision"] == "int8"}


def test_a_network_without_an_integer_form_gives_its_float_rows() -> None:
    task = load("karate", {})
    rows = measure([network(task, "gat")], stock(task, "gat"), task, "gat", threads=1, repeats=5, graphs=(), force=True)
    assert {(row["op"], row["backend"]) for row in rows} == {("gat", "pyg"), ("gat", "dqviz"), ("copy", "dqviz")}


@pytest.mark.parametrize("arch", ["gcn", "gin"])
@pytest.mark.parametrize("name", ["dc-sbm", "mutag"])
def test_float_compositions_compute_the_network(arch: str, name: str) -> None:
    task = load(name, {})
    work, plain = own_work(task), stock(task, arch)
    stock_of(network(task, arch), plain)
    plain.eval()
    x = work.x.to_dense()
    inputs = (x, work.edge_index) if work.batch is None else (x, work.edge_index, work.batch)
    with torch.no_grad():
        expected = plain(*inputs)
        for engine in ENGINES:
            steps = composition(plain, engine, work.x, work.edge_index, work.batch)
            found = run_steps(steps, first_input(plain, work.x))
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_inference_rows_without_a_trained_model(small: str) -> None:
    rows = inference(small, archs=("gcn",), threads=(1,), repeats=5, bits=(8, 4), force=True)
    whole = {(row["backend"], row["precision"]) for row in rows if row["op"] == "gcn"}
    assert {("pyg", "fp32"), ("fbgemm", "fp32"), ("numba", "int8"), ("numba", "int4")} <= whole
    assert all(row["exact"] for row in rows if row["precision"] != "fp32")
    spmm = [row for row in rows if row["op"] == "gcn/0/spmm" and row["precision"] == "int8"]
    assert all(row["bytes_moved"] > row["num_edges"] * 256 for row in spmm)


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
    grid = Grid(1.0, 0, 8)
    assert same(Codes(left, grid), Codes(left.copy(), grid))
    assert not same(Codes(left, grid), Codes(right, grid))
