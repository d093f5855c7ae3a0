"""Rows of the weight gradient: what autograd gives a weight is the sum over nodes, whatever the quantizers do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from training_examples import graph_task, network, node_task

from dqviz.quant import QuantLinear, twin
from dqviz.training.batches import Batch, collate, whole_graph
from dqviz.training.gradients import LayerGradient, layer_gradients


def warmed(batch: Batch, arch: str, method: str, task: Any) -> Any:
    """A network whose observers have seen one step, in evaluation mode."""
    model, _ = network(task, arch, method)
    model.train()
    model(*batch.inputs)
    return model.eval()


def in_total(layer: LayerGradient) -> torch.Tensor:
    return layer.passed * (layer.dy.t() @ layer.x.to_dense())


def by_autograd(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    F.cross_entropy(model(*batch.inputs)[batch.scored], batch.y[batch.scored], reduction="sum").backward()
    return {m.weight_q.key: m.weight.grad for m in model.modules() if isinstance(m, QuantLinear)}


@pytest.mark.parametrize("arch", ["gcn", "gin", "gat", "sage"])
@pytest.mark.parametrize("method", ["qat", "dq"])
def test_rows_add_up_to_the_gradient_of_the_weights(arch: str, method: str) -> None:
    batch = whole_graph(node_task(blind=True), "train")
    model = warmed(batch, arch, method, node_task())
    wanted = by_autograd(model, batch)
    found = {layer.weights.key: in_total(layer) for layer in layer_gradients(model, batch)}
    assert found.keys() == wanted.keys()
    for key, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[key])


def test_the_twin_has_the_gradient_of_the_plain_network() -> None:
    batch = whole_graph(node_task(), "train")
    model = warmed(batch, "gcn", "dq", node_task())
    with twin(model):
        wanted = by_autograd(model, batch)
        for layer in layer_gradients(model, batch):
            assert (layer.passed == 1).all()
            torch.testing.assert_close(in_total(layer), wanted[layer.weights.key])
    assert all(q.recorder is None for q in model.modules() if hasattr(q, "recorder"))


def test_the_classifier_of_a_graph_task_is_left_out() -> None:
    task = graph_task()
    batch = collate(task, range(6))
    model = warmed(batch, "gin", "qat", task)
    layers = layer_gradients(model, batch)
    assert [layer.weights.key for layer in layers] == [f"{i}/mlp{k}/weight" for i in (0, 1) for k in (1, 2)]
    assert all(len(layer.x) == len(batch.x) for layer in layers)
