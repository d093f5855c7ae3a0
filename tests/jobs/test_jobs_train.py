"""Whole runs: what lies in a finished run's folder is complete, agrees with itself and can be taken up again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dqviz import methods
from dqviz.columns import TABLES, Column, error_column
from dqviz.jobs import network
from dqviz.runs import artifacts
from dqviz.runs.rows import RunRow
from dqviz.spec import RunSpec
from dqviz.training import predict
from dqviz.training.batches import collate, split_index, whole_graph

Run = Callable[..., RunRow]
RUNS: list[tuple[str, str, dict[str, Any]]] = [
    ("gcn", "fp32", {}),
    ("gcn", "dq", {}),
    ("gcn", "dq", {"profile": "integer", "bits": 8}),
    ("gin", "qat", {}),
    ("gin", "ptq", {"profile": "integer"}),
    ("gat", "dq", {"bits": {"default": 8, "1/aggregate": 2}}),
    ("sage", "ptq", {}),
    ("gcn", "topgq", {"profile": "integer"}),
    ("gat", "topgq", {}),
    ("gin", "sgquant", {"method_settings": {"granularity": "topology", "range": "own", "sites": "all"}}),
]
GRAPHS: tuple[str, str, dict[str, Any]] = ("gin", "dq", {
    "dataset": "digits-grid", "epochs": 1, "arch_settings": {"hidden": 4}, "optimizer": {"batch_size": 300},
})  # fmt: skip
OWN_ROWS: tuple[str, str, dict[str, Any]] = ("gcn", "topgq", GRAPHS[2] | {"profile": "integer"})
every_run = pytest.mark.parametrize(("arch", "method", "values"), [*RUNS, GRAPHS, OWN_ROWS])
SUMMARY = {
    "val_accuracy", "val_loss", "best_epoch", "test_accuracy", "test_accuracy_twin", "test_accuracy_integer",
    "integer_reason", "flip_rate", "epoch_ms_median", "size_bytes", "parameters", "traced_graphs", "worst_site",
    "notes", "analysis_s", "wall_s", "quantize_s", "integer_note",
}  # fmt: skip
NODE_TABLES = set(TABLES) - {"latency"}


def strict_json(path: Path) -> Any:
    """JSON as other programs read it: NaN and Infinity are errors."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path.name} holds a bare {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def one_row_a_graph(nodes: pd.DataFrame) -> pd.DataFrame:
    return nodes.groupby("graph").first()


@every_run
def test_artifacts_are_verified_and_complete(run: Run, arch: str, method: str, values: dict[str, Any]) -> None:
    row = run(arch, method, **values)
    assert artifacts.verify(row.folder) == []
    names = {path.name for path in row.folder.iterdir()}
    assert {f"{table}.parquet" for table in NODE_TABLES} <= names
    assert {"spec.json", "summary.json", "provenance.json", "edges.parquet", "model.safetensors"} <= names
    for path in row.folder.glob("*.json"):
        strict_json(path)
    assert RunSpec(**artifacts.read_json(row.folder, "spec")) == row.spec


@every_run
def test_tables_have_exactly_their_columns(run: Run, arch: str, method: str, values: dict[str, Any]) -> None:
    row = run(arch, method, **values)
    for name in NODE_TABLES:
        table = artifacts.read_table(row.folder, name)
        wanted = list(map(str, TABLES[name]))
        assert list(table.columns)[: len(wanted)] == wanted, name
        if name != "nodes":
            assert len(table.columns) == len(wanted), name
    assert len(artifacts.read_table(row.folder, "metrics")) == row.spec.epochs


@every_run
def test_summary_agrees_with_the_tables(run: Run, arch: str, method: str, values: dict[str, Any]) -> None:
    row = run(arch, method, **values)
    summary = artifacts.read_json(row.folder, "summary")
    assert set(summary) >= SUMMARY
    nodes = artifacts.read_table(row.folder, "nodes")
    test = nodes[nodes["split"] == "test"]
    if row.spec.dataset == "digits-grid":
        test = one_row_a_graph(test)
    for name, column in (("test_accuracy", Column.PREDICTION), ("test_accuracy_twin", Column.PREDICTION_TWIN),
                         ("test_accuracy_integer", Column.PREDICTION_INTEGER)):  # fmt: skip
        if summary[name] is None:
            assert nodes[column].isna().all()
            assert summary["integer_reason"].endswith(".")
            assert summary["integer_note"] == ""
        else:
            if name == "test_accuracy_integer" and row.spec.profile == "paper" and arch == "gcn":
                assert "leaves out the sites" in summary["integer_note"]
            assert summary[name] == pytest.approx((test[column] == test["label"]).mean(), abs=1e-6), name
    flips = nodes if row.spec.dataset != "digits-grid" else one_row_a_graph(nodes)
    assert summary["flip_rate"] == pytest.approx((flips["prediction"] != flips["prediction_twin"]).mean(), abs=1e-6)
    metrics = artifacts.read_table(row.folder, "metrics")
    assert summary["epoch_ms_median"] == pytest.approx(metrics["epoch_ms"].median())
    chosen, epochs = methods.make(method, row.spec.method_settings), row.spec.epochs
    assert (summary["quantize_s"] is not None) == (chosen.calibrates or chosen.prepares)
    if not chosen.calibrates:
        final = [chosen.state_at(epoch, epochs) == chosen.state_at(epochs - 1, epochs) for epoch in range(epochs)]
        assert summary["val_accuracy"] == metrics["accuracy_val"][final].max()
        assert summary["val_loss"] == metrics["loss_val"][summary["best_epoch"]]
    assert (row.val_accuracy, row.test_accuracy) == (summary["val_accuracy"], summary["test_accuracy"])


@every_run
def test_error_columns(run: Run, arch: str, method: str, values: dict[str, Any]) -> None:
    row = run(arch, method, **values)
    nodes = artifacts.read_table(row.folder, "nodes")
    output = nodes[error_column("output", "accumulated")]
    assert np.isfinite(output).all()
    if method == "fp32":
        assert (output == 0).all()
        assert row.summary["flip_rate"] == 0
        return
    keys = set(artifacts.read_table(row.folder, "degree")["key"])
    assert keys
    for key in keys:
        for kind in ("local", "accumulated"):
            column = nodes[error_column(key, kind)]
            assert column.notna().any(), (key, kind)
            assert not np.isinf(column).any(), (key, kind)
    assert (output > 0).any()
    assert not any("weight" in key or "attention" in key or "norm" in key for key in keys)


@every_run
def test_the_saved_network_predicts_the_same(run: Run, arch: str, method: str, values: dict[str, Any]) -> None:
    row = run(arch, method, **values)
    net = network.restore(row.spec, row.folder)
    task = net.task
    batch = whole_graph(task, "test") if task.kind == "node" else collate(task, split_index(task, "test").tolist())
    with torch.no_grad():
        classes = net.model(*batch.inputs).argmax(1)
    nodes = artifacts.read_table(row.folder, "nodes")
    found = nodes if task.kind == "node" else one_row_a_graph(nodes)
    assert classes.tolist() == found["prediction"].tolist()
    logits, y = predict(net.model, [batch])
    assert row.test_accuracy == pytest.approx((logits.argmax(1) == y).float().mean().item(), abs=1e-6)


def test_protection_of_a_dq_run(run: Run) -> None:
    nodes = artifacts.read_table(run("gcn", "dq").folder, "nodes")
    assert nodes["protection"].max() == pytest.approx(0.1)
    assert nodes.groupby("degree")["protection"].nunique().max() == 1
    assert nodes["protected_frequency"].between(0, 1).all()
    draws = nodes["protected_frequency"] * 3 * 2  # epochs times layers
    assert np.allclose(draws, draws.round(), atol=1e-4), "counted over all epochs, not up to the best one"
    plain = artifacts.read_table(run("gin", "qat").folder, "nodes")
    assert (plain["protection"] == 0).all()
    assert plain["protected_frequency"].isna().all()


def test_a_fp32_run_shows_what_leaves_its_sums(run: Run) -> None:
    row = run("gcn", "fp32")
    assert row.bits == 32
    assert len(artifacts.read_table(row.folder, "aggregation"))
    assert len(artifacts.read_table(row.folder, "sites")) == 0
    assert row.summary["worst_site"] is None


def test_bits_of_single_sites_reach_the_tables(run: Run) -> None:
    row = run("gat", "dq", bits={"default": 8, "1/aggregate": 2})
    ranges = artifacts.read_table(row.folder, "ranges").set_index("key")["bits"]
    assert ranges["1/aggregate"] == 2
    assert set(ranges.drop("1/aggregate")) <= {8, 32}
    assert row.bits is None
    assert row.bits_label == "mixed"
    assert row.summary["worst_site"]["key"] == "1/aggregate"


def test_size_counts_weights_at_their_bits(run: Run) -> None:
    full, four = run("gcn", "fp32").summary, run("gcn", "dq").summary
    assert full["parameters"] == four["parameters"] == 34 * 16 + 16 + 16 * 4 + 4
    assert full["size_bytes"] == 4 * full["parameters"]
    assert four["size_bytes"] == (34 * 16 + 16 * 4) // 2 + 4 * 20


def test_edges_are_those_of_the_graph(run: Run) -> None:
    row = run("gcn", "dq")
    nodes, edges = (artifacts.read_table(row.folder, name) for name in ("nodes", "edges"))
    assert np.bincount(edges["target"], minlength=len(nodes)).tolist() == nodes["degree"].tolist()
    (graph,) = network.build(row.spec).task.graphs
    assert sorted(edges.to_numpy().tolist()) == sorted(graph.edge_index.t().tolist())
    assert edges["target"].is_monotonic_increasing


@pytest.mark.parametrize(("method", "profile", "own"), [("qat", "paper", 0), ("ptq", "integer", 1)])
def test_what_gin_sends_is_counted_by_message(run: Run, method: str, profile: str, own: int) -> None:
    """Not by node, though nodes are quantized once; in profile `integer` a node's own row is one more value."""
    folder = run("gin", method, profile=profile).folder
    found, edges = artifacts.read_table(folder, "histograms"), artifacts.read_table(folder, "edges")
    counts = found[(found["key"] == "1/message") & (found["group"] == -1)]["count"]
    assert counts.sum() == (len(edges) + 34 * own) * 16


def test_provenance(run: Run) -> None:
    found = artifacts.read_json(run("gat", "dq", bits={"default": 8, "1/aggregate": 2}).folder, "provenance")
    assert {"tailor2021", "velickovic2018"} <= set(found["citations"])
    assert found["seed"] == 0
    assert found["packages"]["torch"]
    assert "validation" in found["selection"]


def test_the_integer_run_stands_or_says_why(run: Run) -> None:
    row = run("gcn", "dq", profile="integer", bits=8)
    assert row.test_accuracy_integer is not None
    assert math.isclose(row.test_accuracy_integer, row.test_accuracy or 0, abs_tol=0.1)
    assert artifacts.read_json(row.folder, "integer")["operations"]
    plain = run("gcn", "fp32")
    assert plain.test_accuracy_integer is None
    assert "full-precision" in artifacts.read_json(plain.folder, "integer")["reason"]
