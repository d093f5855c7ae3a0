"""MixQ in networks: phases, the penalty, what is chosen and stays chosen, the mask, integer runs of what was chosen."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from methods_examples import NODES, batch, search
from torch import nn

from dqviz import data, integer, methods, quant
from dqviz import nn as archs
from dqviz.data import Task
from dqviz.errors import BadInput, Unavailable
from dqviz.methods.mixq import MixQ
from dqviz.quant import quantizers
from dqviz.quant.convert import set_state
from dqviz.quant.mixed import MixedQuantizer
from dqviz.quant.where import PARAMETERS
from dqviz.spec import Optimizer
from dqviz.training import train


def mixq(**settings: Any) -> MixQ:
    method = methods.make("mixq", settings)
    assert isinstance(method, MixQ)
    return method


def network(method: MixQ, bits: int = 8, arch: str = "gcn", kind: Any = "node") -> nn.Module:
    torch.manual_seed(0)
    x, edge_index, *_ = batch(kind)
    if kind == "node":
        method.scene.show(x.size(0), edge_index)
    stack = archs.make(arch, x.size(1), 3, kind, {"hidden": 8, "dropout": 0.0})
    return quant.quantize(stack, method, bits).train()


def searched(method: MixQ, steps: int, kind: str = "node") -> nn.Module:
    """After some steps of the search on a tiny task."""
    model = network(method, kind=kind)
    return search(model, method, steps, kind)


def sites(model: nn.Module) -> list[MixedQuantizer]:
    return [q for q in quantizers(model) if isinstance(q, MixedQuantizer)]


@pytest.mark.parametrize(("share", "epochs", "searching"), [(0.5, 200, 100), (0.0, 5, 0), (0.5, 1, 0), (0.99, 10, 9)])
def test_the_search_takes_its_share_and_never_the_last_epoch(share: float, epochs: int, searching: int) -> None:
    states = [mixq(search=share).state_at(epoch, epochs) for epoch in range(epochs)]
    assert states == ["search"] * searching + ["on"] * (epochs - searching)


def test_every_quantized_site_chooses_among_the_widths_up_to_the_run_s() -> None:
    for bits, widths in ((8, [2, 4, 8]), (4, [2, 4]), (2, [2])):
        found = sites(network(mixq(), bits))
        assert len(found) == 14
        assert all([one.bits for one in q.qtypes] == widths for q in found)


def test_the_penalty_is_the_mean_of_expected_bits_over_values() -> None:
    """By hand: every theta alike but that of one site, at 2 bits for certain."""
    method = mixq(penalty=3.0, follow="loss")
    model = network(method)
    set_state(model, "search")
    assert method.penalty(model) is None, "nothing passed yet"
    with torch.no_grad():
        for q in sites(model):
            q.theta.zero_()
        sites(model)[0].theta.copy_(torch.tensor([90.0, 0.0, 0.0]))
    model(*batch("node"))
    sizes = [q.values for q in sites(model)]
    assert {NODES * 8, 5 * 8, 8 * 3} <= set(sizes)
    expected = 3.0 / 8 * (14 / 3 + (2 - 14 / 3) * sizes[0] / sum(sizes))
    found = method.penalty(model)
    assert found is not None
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_nothing_is_added_when_the_search_is_over() -> None:
    method = mixq()
    model = network(method)
    model(*batch("node"))
    assert method.penalty(model) is None


@pytest.mark.parametrize("kind", ["node", "graph"])
def test_a_heavy_penalty_takes_the_fewest_bits_and_none_keeps_the_most_of_nodes(kind: str) -> None:
    light = searched(mixq(penalty=1000.0, bits_lr=0.1), 30, kind)
    assert {q.qtype.bits for q in sites(light)} == {2}
    if kind == "node":  # where bits follow errors, and 8 bits have the least
        free = searched(mixq(penalty=0.0, bits_lr=0.1), 30, kind)
        exact = [q for q in sites(free) if q.errors[0] <= q.errors[2]]
        assert all(q.qtype.bits == 8 for q in sites(free) if q not in exact)
        assert len(exact) < len(sites(free)) / 2


def test_bits_follow_errors_on_node_tasks_and_the_loss_on_graph_tasks() -> None:
    assert [q.by_error for kind in ("node", "graph") for q in sites(network(mixq(), kind=kind))[:1]] == [True, False]
    assert not sites(network(mixq(follow="loss")))[0].by_error
    assert sites(network(mixq(follow="error"), kind="graph"))[0].by_error


def test_theta_has_its_own_rate_and_no_decay() -> None:
    method = mixq(bits_lr=0.3)
    model = network(method, arch="gat")
    weights, theta = method.parameter_groups(model, 0.01, 0.1)
    assert (theta["lr"], theta["weight_decay"], len(theta["params"])) == (0.3, 0.0, len(sites(model)))
    assert len(weights["params"]) + len(theta["params"]) == len(list(model.parameters()))


def test_degree_quant_inside() -> None:
    """Nodes are protected as in `dq`; parameters never are."""
    assert mixq().protection() is None
    ours, theirs = mixq(mask="forward", p_min=0.1, p_max=0.4).protection(), methods.make(
        "dq", {"p_min": 0.1, "p_max": 0.4}).protection()  # fmt: skip
    assert ours is not None
    assert theirs is not None
    assert not ours.per_layer
    degree = torch.tensor([0, 1, 1, 5])
    assert torch.equal(ours.probability(degree, None), theirs.probability(degree, None))
    with pytest.raises(BadInput, match="p_min must not be above p_max"):
        mixq(p_min=0.5)
    method = mixq(mask="layer", p_min=1.0, p_max=1.0)
    model = network(method)
    set_state(model, "search")
    seen: dict[str, bool] = {}
    for q in sites(model):
        q.recorder = lambda q, x, out, node: seen.update({q.key: torch.equal(x, out)})
    model(*batch("node"))
    nodes = [q for q in sites(model) if q.where is not None and q.where.site not in PARAMETERS | {"norm"}]
    assert all(seen[q.key] for q in nodes)


@pytest.fixture(scope="module")
def cora() -> Task:
    try:
        return data.load("cora", {}, 0)
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Cora is not here: {reason}")


@pytest.mark.parametrize("arch", ["gcn", "gin"])
def test_on_cora_different_bits_run_in_integers_as_they_were_trained(arch: str, cora: Task) -> None:
    """Trained as a run is: bits differ by site, stay after the search, and all nodes get the same class in integers."""
    method = mixq(bits_lr=0.2)
    graph = cora.graphs[0]
    method.scene.show(graph.x.size(0), graph.edge_index)
    torch.manual_seed(0)
    model = quant.quantize(archs.make(arch, cora.num_features, cora.num_classes, "node", {}), method, 8, "integer")
    chosen: list[list[int]] = []
    train(model, cora, method, Optimizer(), 24, emit=lambda _: chosen.append([q.qtype.bits for q in sites(model)]))
    assert all(bits == chosen[-1] for bits in chosen[12:])
    assert [q.qtype.bits for q in sites(model)] == chosen[-1], "the best epoch is one of the later ones"
    assert len(set(chosen[-1])) > 1
    assert any(bits != chosen[-1] for bits in chosen[:12])
    with torch.no_grad():
        expected = model(graph.x, graph.edge_index)
    found = integer.Session(integer.plan(model)).run(graph.x, graph.edge_index)
    assert torch.equal(found.argmax(1), expected.argmax(1))
