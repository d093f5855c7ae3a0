"""Scores, batches and the trace of every site."""

from __future__ import annotations

import pytest
import torch
from training_examples import graph_task, network, node_task, run

from dqviz.quant import Site, quantizers
from dqviz.training import evaluate, predict, trace
from dqviz.training.batches import Feed, collate, whole_graph
from dqviz.training.evaluate import score


def test_score_by_hand() -> None:
    found = score(torch.tensor([[0.0, 0.0], [0.0, 0.0], [100.0, 0.0]]), torch.tensor([0, 1, 0]))
    assert found.loss == pytest.approx(2 / 3 * 0.6931472)
    assert found.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize("make", [node_task, graph_task])
def test_evaluation_of_several_splits_is_that_of_each(make: object) -> None:
    task = make()
    model, _ = run(task, epochs=2)
    feed = Feed(task, 4)
    together = evaluate(model, feed, ("train", "val", "test"))
    for split, found in together.items():
        assert evaluate(model, feed, (split,))[split] == found
        assert score(*predict(model, feed.split(split))) == found


def test_an_epoch_of_graphs_sees_each_training_graph_once() -> None:
    feed = Feed(graph_task(), 5)
    torch.manual_seed(0)
    first, second = (list(feed.training()) for _ in range(2))
    assert [len(batch.y) for batch in first] == [5, 5, 2]
    sizes = [sorted(batch.x.sum().item() for batch in epoch) for epoch in (first, second)]
    assert sizes[0] != sizes[1], "shuffled anew"
    assert sum(sizes[0]) == pytest.approx(sum(sizes[1]), rel=1e-5)


def test_batch_size_does_not_change_an_evaluation() -> None:
    task = graph_task()
    model, _ = run(task, epochs=2)
    scores = [evaluate(model, Feed(task, size), ("val",))["val"] for size in (1, 4, 100)]
    assert len({s.accuracy for s in scores}) == 1
    assert scores[0].loss == pytest.approx(scores[2].loss, rel=1e-5)


@pytest.mark.parametrize("arch", ["gcn", "gin", "gat", "sage"])
@pytest.mark.parametrize("make", [node_task, graph_task])
def test_trace_of_every_site(arch: str, make: object) -> None:
    task = make()
    model, _ = run(task, arch, epochs=2)
    batch = whole_graph(task, "test") if task.kind == "node" else collate(task, [0, 1, 2])
    logits, twin_logits, traced = trace(model, batch)
    with torch.no_grad():
        assert torch.equal(model(*batch.inputs), logits)
    assert not torch.equal(logits, twin_logits)
    assert {recorded.quantizer.key for recorded, _ in traced} == {q.key for q in quantizers(model)}
    assert all(q.recorder is None for q in quantizers(model))
    assert {q.state for q in quantizers(model)} == {"on"}
    edges = batch.edge_index.size(1)
    for recorded, reference in traced:
        assert recorded.x.shape == recorded.xq.shape == reference.shape
        site = recorded.quantizer.where.site
        if recorded.node is not None:
            assert len(recorded.node) == recorded.x.size(0) >= edges
            assert site in (Site.MESSAGE, Site.ALPHA)
        if site is Site.WEIGHT:
            assert torch.equal(recorded.x, reference), "the twin has the same weights"


def test_a_failing_pass_leaves_no_recorder() -> None:
    task = node_task()
    model, _ = network(task)
    batch = collate(graph_task(), [0])
    with pytest.raises((RuntimeError, ValueError)):
        trace(model, batch)
    assert all(q.recorder is None and q.state == "on" for q in quantizers(model))
