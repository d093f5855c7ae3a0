"""What is generated or embedded: neighbour graphs, grids, the block model, splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from dqviz.data import load
from dqviz.data.arrays import clean_edges, distinct, pack_features
from dqviz.data.digits import grid_edges, images, nearest
from dqviz.data.splits import folds, per_class, planetoid_like
from dqviz.data.task import features, in_degree
from dqviz.errors import BadInput


@pytest.mark.parametrize("k", [1, 8, 15])
def test_each_image_points_to_its_nearest(k: int) -> None:
    x, _ = images()
    source, target = nearest(x, k)
    assert np.array_equal(source, np.repeat(np.arange(len(x)), k))
    assert np.all(source != target)
    # Ties make several neighbourhoods right: distances, not names, must agree with scikit-learn.
    ours = np.linalg.norm(x[source] - x[target], axis=1).reshape(-1, k)
    theirs = NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, 1:]
    assert np.allclose(ours, theirs, atol=1e-5)


def test_in_degree_of_digits_is_skewed() -> None:
    degree = in_degree(load("digits-knn", {}).graphs[0]).double()
    skew = ((degree - degree.mean()) ** 3).mean() / degree.std() ** 3
    assert degree.mean() == 8
    assert degree.max() >= 3 * 8
    assert degree.min() == 0
    assert skew > 0.5


def test_grids() -> None:
    four, eight = grid_edges(diagonals=False), grid_edges(diagonals=True)
    assert four.shape == (2, 2 * 2 * 7 * 8)
    assert eight.shape == (2, 2 * (2 * 7 * 8 + 2 * 7 * 7))
    assert sorted(set(np.bincount(eight[1]).tolist())) == [3, 5, 8]
    graph = load("digits-grid", {"diagonals": False}).graphs[0]
    assert graph.x[9].tolist() == pytest.approx([images()[0][0][9], 1 / 7, 1 / 7])


@pytest.mark.parametrize("nodes", [500, 5_000])
def test_the_block_model_is_as_asked(nodes: int) -> None:
    task = load("dc-sbm", {"nodes": nodes, "mean_degree": 10.0, "homophily": 0.6, "exponent": 2.5})
    graph = task.graphs[0]
    source, target = graph.edge_index
    assert graph.is_undirected()
    assert graph.num_edges == pytest.approx(10 * nodes, rel=0.01)
    # Hubs lose some pairs within their class to repetition, hence the margin.
    assert float((graph.y[source] == graph.y[target]).float().mean()) == pytest.approx(0.6, abs=0.05)
    sizes = graph.y.bincount()
    assert int(sizes.max() - sizes.min()) <= 1


def test_a_lower_exponent_makes_heavier_hubs() -> None:
    largest = [load("dc-sbm", {"exponent": e, "nodes": 5_000}).facts.max_in_degree for e in (2.1, 2.6, 5.0)]
    assert largest[0] > 1.5 * largest[1] > 3 * largest[2]


def test_the_graph_seed_makes_another_graph_and_the_run_seed_does_not() -> None:
    first, again, other = (
        load("dc-sbm", {"graph_seed": s}, r).graphs[0].edge_index for s, r in [(0, 0), (0, 9), (1, 0)]
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dense_words_are_stored_dense_and_say_the_class() -> None:
    task = load("dc-sbm", {"features": 50, "words": 20})
    x, y = task.graphs[0].x, task.graphs[0].y
    assert x.layout == torch.strided
    own = torch.stack([x[y == c].mean(0) for c in range(5)])
    assert [int(block) for block in own.reshape(5, 5, 10).sum(2).argmax(1)] == list(range(5))


def test_the_largest_block_model_of_the_tests() -> None:
    """170,000 nodes and 2.5 million edges: vectorised, or this would take minutes."""
    task = load("dc-sbm", {"nodes": 170_000, "mean_degree": 14.7})
    assert task.facts.edges == pytest.approx(2.5e6, rel=0.01)
    assert task.graphs[0].x.layout == torch.sparse_csr


labels = st.lists(st.integers(0, 4), min_size=8, max_size=200).map(np.array)


@given(y=labels, seed=st.integers(0, 2**31 - 1), train=st.integers(1, 30), val=st.integers(0, 60))
@settings(deadline=None)
def test_splits_part_the_nodes(y: np.ndarray, seed: int, train: int, val: int) -> None:  # type: ignore[type-arg]
    for split in (per_class, planetoid_like):
        masks = split(y, seed, train, val)
        assert np.array_equal(sum(mask.astype(int) for mask in masks.values()), np.ones(len(y), int))
        assert set(y[masks["train"]]) == set(y)
        assert np.bincount(y[masks["train"]]).max() <= max(train, 1)
        again = split(y, seed, train, val)
        assert all(np.array_equal(masks[part], again[part]) for part in masks)


def test_a_large_enough_set_is_split_as_documented() -> None:
    y = np.arange(2_000) % 4
    assert [int(mask.sum()) for mask in per_class(y, 0).values()] == [80, 120, 1800]
    assert [int(mask.sum()) for mask in planetoid_like(y, 0).values()] == [80, 500, 1420]


@given(st.integers(1, 20), st.data())
@settings(deadline=None)
def test_clean_edges_are_the_set_of_edges(nodes: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=60))
    edges = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = sorted(({(a, b) for a, b in pairs if a != b}), key=lambda edge: edge[::-1])
    assert clean_edges(edges, nodes).T.tolist() == [list(edge) for edge in expected]


@given(st.lists(st.integers(-50, 50)))
def test_distinct_is_unique(values: list[int]) -> None:
    assert distinct(np.array(values, dtype=np.int64)).tolist() == sorted(set(values))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_packed_features_come_back(share: float) -> None:
    rng = np.random.default_rng(0)
    x = (rng.random((60, 50)) * (rng.random((60, 50)) < share)).astype(np.float32)
    found = features(pack_features(x))
    assert (found.layout == torch.sparse_csr) == (share < 0.12)
    assert torch.equal(found.to_dense(), torch.from_numpy(x))
    expected = x / np.maximum(x.sum(1, keepdims=True), 1)
    torch.testing.assert_close(features(pack_features(x), row_normalize=True).to_dense(), torch.from_numpy(expected))


def test_folds_hold_every_class_or_say_which_is_too_small() -> None:
    y = np.repeat([0, 1], [40, 10])
    for fold in range(10):
        assert all(set(y[part]) == {0, 1} for part in folds(y, fold).values())
    with pytest.raises(BadInput, match="Class 1 has 9 members, fewer than the 10 folds"):
        folds(y[:-1], 0)
