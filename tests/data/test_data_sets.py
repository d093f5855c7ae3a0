"""Every registered data set: what was loaded is what STATS says, offline, and is a task one can train on."""

from __future__ import annotations

import json
import shutil
import urllib.error
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_files import EMBEDDED, ON_DISK, copied, need
from torch_geometric.datasets import KarateClub
from torch_geometric.io import read_planetoid_data, read_tu_data
from torch_geometric.transforms import NormalizeFeatures

from dqviz.data import DATASETS, STATS, Task, load, planetoid
from dqviz.data.facts import facts
from dqviz.data.paths import data_dir
from dqviz.data.stats import Stats
from dqviz.data.task import in_degree
from dqviz.errors import BadInput, Unavailable
from dqviz.registry import Settings


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this file may reach a network, wherever it runs."""

    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def loaded(name: str, settings: dict[str, Any] | None = None, seed: int = 0) -> Task:
    need(name)
    return load(name, settings or {}, seed)


def stats(task: Task) -> Stats:
    found = task.facts
    size = found.nodes if task.kind == "node" else found.graphs
    return Stats(size, found.edges, found.features, found.classes, found.max_in_degree)


def test_every_data_set_has_a_stats_row() -> None:
    assert list(STATS) == DATASETS.names()
    assert DATASETS.names()[0] == "digits-knn"
    for entry in DATASETS:
        assert entry.summary.endswith(".")
        assert entry.cites
        assert (entry.facts["size"], entry.facts["edges"]) == STATS[entry.name][:2]
        assert issubclass(entry.settings, Settings)
        json.dumps(entry.settings.schema_of())


@pytest.mark.parametrize("name", list(STATS))
def test_what_is_loaded_is_what_stats_says(name: str) -> None:
    assert stats(loaded(name)) == STATS[name]


@pytest.mark.parametrize("name", list(STATS))
def test_a_task_can_be_trained_on(name: str) -> None:
    task = loaded(name)
    assert task.kind == DATASETS[name].facts["kind"]
    for graph in task.graphs[:50]:
        assert graph.x.dtype == torch.float32
        assert graph.edge_index.dtype == graph.y.dtype == torch.int64
        assert graph.x.shape == (graph.num_nodes, task.num_features)
        assert not graph.has_self_loops()
    parts = list(task.splits.values())
    assert list(task.splits) == ["train", "val", "test"]
    if task.kind == "node":
        assert len(task.graphs) == 1
        assert sum(part.int() for part in parts).max() == 1
    else:
        positions = torch.cat(parts)
        assert len(positions.unique()) == len(positions) == len(task.graphs)
    labels = torch.cat([graph.y for graph in task.graphs])
    train = labels[task.splits["train"]]
    assert set(train.tolist()) == set(range(task.num_classes))


@pytest.mark.parametrize("name", list(STATS))
def test_facts_agree_with_a_plain_count(name: str) -> None:
    task = loaded(name)
    found = facts(task)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    table = {int(degree): count for degree, count in found["degree_table"].items()}
    counted = torch.cat([in_degree(graph) for graph in task.graphs]).bincount()
    assert table == {degree: int(count) for degree, count in enumerate(counted.tolist()) if count}
    assert sum(table.values()) == found["nodes"]
    assert max(table) == found["max_in_degree"]
    assert sum(degree * count for degree, count in table.items()) == found["edges"] - found["self_loops"]
    assert found["ecdf"]["degree"] == list(table)
    assert found["ecdf"]["share"][-1] == 1.0
    assert np.all(np.diff(found["ecdf"]["share"]) > 0)


@pytest.mark.parametrize("name", ["digits-knn", "karate", "digits-grid", "cora", "computers", "mutag"])
def test_the_sample_is_a_small_true_piece(name: str) -> None:
    task = loaded(name)
    sample = facts(task)["sample"]
    graph = task.graphs[sample["graph"]]
    nodes = sample["node"]
    assert 2 <= len(nodes) == len(set(nodes)) <= 150
    assert len(sample["xy"]) == len(sample["degree"]) == len(nodes)
    assert np.isfinite(sample["xy"]).all()
    assert sample["degree"] == in_degree(graph)[nodes].tolist()
    chosen = torch.isin(graph.edge_index, torch.tensor(nodes)).all(dim=0)
    inside = {tuple(edge) for edge in graph.edge_index[:, chosen].t().tolist()}
    assert {(nodes[a], nodes[b]) for a, b in sample["edges"]} == inside
    assert max(sample["degree"]) == int(in_degree(graph).max())


@pytest.mark.parametrize("name", ["digits-knn", "karate", "dc-sbm", "cora"])
def test_loading_twice_is_the_same_to_the_bit(name: str) -> None:
    one, two = loaded(name), loaded(name, seed=7)
    assert facts(one) == facts(two)
    assert torch.equal(one.graphs[0].edge_index, two.graphs[0].edge_index)
    assert torch.equal(one.graphs[0].x.to_dense(), two.graphs[0].x.to_dense())
    assert all(torch.equal(one.splits[part], two.splits[part]) for part in one.splits)


@pytest.mark.parametrize("name", ["digits-knn", "karate", "dc-sbm", "digits-grid"])
def test_a_split_seed_of_minus_one_follows_the_run(name: str) -> None:
    first, second = (loaded(name, {"split_seed": -1}, seed).splits["train"] for seed in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, loaded(name, {"split_seed": 1}, 5).splits["train"])


def test_in_degree_leaves_self_loops_out() -> None:
    graph = KarateClub()[0]
    graph.edge_index = torch.cat([graph.edge_index, torch.tensor([[0, 3, 0], [0, 3, 0]])], dim=1)
    assert torch.equal(in_degree(graph), in_degree(KarateClub()[0]))


@pytest.mark.parametrize("name", ["cora", "citeseer", "pubmed"])
def test_citations_are_what_pyg_reads(name: str) -> None:
    task = loaded(name)
    root = data_dir()
    assert root is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = NormalizeFeatures()(read_planetoid_data(str(root / ON_DISK[name] / "raw"), name))
    graph = task.graphs[0]
    assert graph.x.layout == torch.sparse_csr
    torch.testing.assert_close(graph.x.to_dense(), expected.x, rtol=1e-6, atol=0)
    assert torch.equal(graph.edge_index, expected.edge_index)
    assert torch.equal(graph.y, expected.y)
    assert all(torch.equal(task.splits[part], expected[f"{part}_mask"]) for part in task.splits)
    raw = loaded(name, {"row_normalize": False}).graphs[0].x
    assert float(raw.values().max()) >= float(graph.x.values().max())


def test_a_tu_set_is_what_pyg_reads() -> None:
    task = loaded("mutag")
    root = data_dir()
    assert root is not None
    expected, slices, _ = read_tu_data(str(root / "MUTAG" / "raw"), "MUTAG")
    assert torch.equal(torch.cat([graph.x for graph in task.graphs]), expected.x)
    assert torch.equal(torch.cat([graph.y for graph in task.graphs]), expected.y)
    for i in (0, 17, 187):
        edges = expected.edge_index[:, slices["edge_index"][i] : slices["edge_index"][i + 1]]
        assert torch.equal(task.graphs[i].edge_index, edges)


@pytest.mark.parametrize(("features", "width"), [("degree", 1), ("constant", 1), ("degree-one-hot", 4)])
def test_node_features_of_a_tu_set(features: str, width: int) -> None:
    task = loaded("mutag", {"node_features": features, "degree_cap": 3})
    assert task.num_features == width
    x = torch.cat([graph.x for graph in task.graphs])
    degree = torch.cat([in_degree(graph) for graph in task.graphs]).float()
    expected = {
        "degree": ((degree - degree.mean()) / degree.std())[:, None],
        "constant": torch.ones(len(degree), 1),
        "degree-one-hot": torch.eye(4)[degree.clamp(max=3).long()],
    }
    torch.testing.assert_close(x, expected[features], rtol=1e-5, atol=1e-6)


def test_ten_folds_test_each_graph_once() -> None:
    tasks = [loaded("mutag", seed=seed) for seed in range(10)]
    tested = torch.cat([task.splits["test"] for task in tasks])
    assert tested.sort().values.tolist() == list(range(188))
    for fold in range(10):
        assert torch.equal(tasks[fold].splits["val"], tasks[fold - 1].splits["test"])
    assert torch.equal(loaded("mutag", {"fold": 3}, seed=8).splits["test"], tasks[3].splits["test"])


def test_the_cache_is_used_and_a_damaged_one_is_remade(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = loaded("cora")
    read = planetoid.read
    monkeypatch.setattr(planetoid, "read", lambda *_: pytest.fail("the raw files were read again"))
    assert torch.equal(load("cora", {}).graphs[0].edge_index, first.graphs[0].edge_index)
    (cached,) = (home / "cache" / "data").glob("cora-*.safetensors")
    cached.write_bytes(cached.read_bytes()[:1000])
    monkeypatch.setattr(planetoid, "read", read)
    assert torch.equal(load("cora", {}).graphs[0].edge_index, first.graphs[0].edge_index)
    assert cached.stat().st_size > 1000


def test_data_folders_are_read_never_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("mutag")
    root = data_dir()
    assert root is not None
    shutil.copytree(root / "MUTAG", tmp_path / "given" / "MUTAG")
    monkeypatch.setenv("DQVIZ_DATA", str(tmp_path / "given"))
    before = sorted((tmp_path / "given").rglob("*"))
    assert stats(load("mutag", {})) == STATS["mutag"]
    assert sorted((tmp_path / "given").rglob("*")) == before


def test_a_full_disk_only_costs_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("mutag")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dqviz.data.arrays.write_whole", full)
    assert stats(load("mutag", {})) == STATS["mutag"]


@pytest.mark.parametrize("name", sorted(set(STATS) - set(EMBEDDED)))
@pytest.mark.parametrize("with_variable", [True, False])
def test_absent_and_offline_names_folder_and_variable(
    name: str, with_variable: bool, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_variable:
        monkeypatch.setenv("DQVIZ_DATA", str(tmp_path / "mine"))
    else:
        monkeypatch.delenv("DQVIZ_DATA", raising=False)
    with pytest.raises(Unavailable) as caught:
        load(name, {})
    text = str(caught.value)
    folder = {**ON_DISK, "photo": "Photo"}[name]
    assert "DQVIZ_DATA" in text
    assert f"{folder}/raw" in text
    assert (str(tmp_path / "mine") in text) == with_variable
    assert text.endswith(".")
    assert "\n" not in text


def test_pickles_that_are_not_the_published_ones_are_not_opened(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tampered = copied("cora", tmp_path / "given", monkeypatch) / "ind.cora.graph"
    tampered.write_bytes(b"cposix\nmkdir\n(V" + str(tmp_path / "executed").encode() + b"\ntR.")
    with pytest.raises(BadInput, match="not the published ones"):
        load("cora", {})
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("digits-knn", {"k": 0}), ("digits-knn", {"kk": 3}), ("dc-sbm", {"classes": 1}), ("dc-sbm", {"exponent": 1.0}),
     ("dc-sbm", {"mean_degree": float("nan")}), ("mutag", {"fold": 10}), ("mutag", {"node_features": "none"}),
     ("cora", {"row_normalize": "perhaps"})],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(settings))):
        load(name, settings)


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(BadInput, match=r"digits-knn.*pubmed"):
        load("coar", {})
