"""A2Q in networks: which quantizer stands where, optimizer groups, the penalty, what its nodes follow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from methods_examples import NODES, batch, classes

from dqviz import methods
from dqviz import nn as archs
from dqviz.methods.a2q import learned_rows
from dqviz.quant import Quantizer, quantize, quantizers
from dqviz.quant.convert import set_state
from dqviz.quant.nodewise import ColumnQuantizer, NodewiseQuantizer, ReachRows


def network(arch: str, kind: Any = "node", bits: Any = 4, profile: Any = "paper", **settings: Any) -> Any:
    """(model, method)."""
    torch.manual_seed(0)
    method = methods.make("a2q", settings)
    if kind == "node":
        method.scene.show(NODES, batch("node")[1])
    stack = archs.make(arch, 5, 3, kind, {"hidden": 8, "dropout": 0.0})
    return quantize(stack, method, bits, profile), method


def kinds(model: torch.nn.Module) -> dict[str, str]:
    names = {NodewiseQuantizer: "node", ColumnQuantizer: "column", ReachRows: "reach", Quantizer: "plain"}
    return {q.key: "float" if q.qtype.is_float else names[type(q)] for q in quantizers(model)}


def test_published_sites() -> None:
    """GCN: what enters each later layer by node, weights and x W by column; sums and edges float."""
    found = kinds(network("gcn")[0])
    assert {key for key, kind in found.items() if kind == "node"} == {"1/input"}
    assert {key for key, kind in found.items() if kind == "column"} == {
        "0/weight", "0/feature", "1/weight", "1/feature",
    }  # fmt: skip
    assert {kind for key, kind in found.items() if key.split("/")[-1] in {"norm", "message", "aggregate"}} == {"float"}


def test_published_sites_of_gin_and_gat() -> None:
    gin = kinds(network("gin")[0])
    assert gin["0/message"] == "float", "the data set's own"
    assert gin["1/message"] == "column", "what is sent"
    assert [gin[f"{layer}/{part}/input"] for layer in (0, 1) for part in ("mlp1", "mlp2")] == ["node"] * 4
    gat = kinds(network("gat")[0])
    assert (gat["0/input"], gat["1/input"], gat["0/alpha"], gat["0/message"]) == ("float", "node", "plain", "float")


@pytest.mark.parametrize("profile", ["paper", "integer"])
@pytest.mark.parametrize("arch", archs.ARCHS.names())
def test_all_sites_leave_none_of_the_profile_in_float(arch: str, profile: str) -> None:
    for q in quantizers(network(arch, profile=profile, sites="all")[0]):
        assert q.qtype.is_float == (q.asked == 32), q.key
        if q.where.of_data_set:
            assert q.asked == 32 or isinstance(q, ReachRows)


@pytest.mark.parametrize("profile", ["paper", "integer"])
@pytest.mark.parametrize("kind", ["node", "graph"])
@pytest.mark.parametrize("arch", archs.ARCHS.names())
def test_the_data_sets_rows_come_where_the_address_says(arch: str, kind: str, profile: str) -> None:
    """And nowhere else: what passes each site is compared with the data set's rows, nothing being quantized."""
    model, _ = network(arch, kind, profile=profile)
    set_state(model.eval(), "off")
    x, *graph = batch(kind)
    found, told = set(), {q.key for q in quantizers(model) if q.where is not None and q.where.of_data_set}

    def record(q: Quantizer, seen: torch.Tensor, *_: Any) -> None:
        if seen.shape == x.shape and torch.equal(seen, x):
            found.add(q.key)

    for q in quantizers(model):
        q.recorder = record
    model(x, *graph)
    assert found == told
    assert found


@pytest.mark.parametrize("arch", archs.ARCHS.names())
def test_the_data_sets_rows_stay_float_as_published(arch: str) -> None:
    own = [q for q in quantizers(network(arch)[0]) if q.where.of_data_set]
    assert own
    assert all(q.qtype.is_float for q in own)


def test_the_kind_of_task_decides() -> None:
    node = next(q for q in quantizers(network("gcn")[0]) if isinstance(q, NodewiseQuantizer))
    assert (node.own, node.local, node.step.numel()) == (True, True, NODES)
    graph = next(q for q in quantizers(network("gcn", "graph", pairs=50)[0]) if isinstance(q, NodewiseQuantizer))
    assert (graph.own, graph.local, graph.step.numel()) == (False, False, 50)
    for gradient, local in (("local", True), ("task", False)):
        for kind in ("node", "graph"):
            model, _ = network("gcn", kind, gradient=gradient)
            assert {q.local for q in quantizers(model) if isinstance(q, NodewiseQuantizer)} == {local}


def test_weights_always_follow_the_loss() -> None:
    model, _ = network("gcn", gradient="local")
    found = {(q.axis, q.local) for q in quantizers(model) if isinstance(q, ColumnQuantizer)}
    assert found == {(0, False), (1, True)}


def test_groups_have_their_own_rates_and_no_decay() -> None:
    model, method = network("gat", step_lr=0.1, bits_lr=0.2, weight_step_lr=0.3, feature_step_lr=0.4)
    weights, *learned = method.parameter_groups(model, 0.01, 0.5)
    assert (weights["lr"], weights["weight_decay"]) == (0.01, 0.5)
    assert [group["lr"] for group in learned] == [0.1, 0.2, 0.3, 0.4]
    assert {group["weight_decay"] for group in learned} == {0.0}
    every = [p for group in (weights, *learned) for p in group["params"]]
    assert len({id(p) for p in every}) == len(every) == len(list(model.parameters()))
    assert methods.make("a2q").own.model_dump(include={"step_lr", "bits_lr", "weight_step_lr", "feature_step_lr"}) == {
        "step_lr": 0.04, "bits_lr": 0.1, "weight_step_lr": 0.02, "feature_step_lr": 0.008,
    }  # fmt: skip


def test_the_penalty_by_hand() -> None:
    """One site of 24 rows with 8 values: 24 b 8 / 8192 KB; its gradient by b is 2 a (KB - M) 8 / 8192."""
    model, method = network("gcn", penalty=3.0, memory_kb=0.02)
    model.train()(*batch("node"))
    ((site, channels),) = learned_rows(model)
    assert channels == 8
    memory = site.width.sum().item() * 8 / 8192
    value = method.penalty(model)
    assert value.item() == pytest.approx(3 * (memory - 0.02) ** 2, rel=1e-5)
    value.backward()
    assert site.width.grad.tolist() == pytest.approx([2 * 3 * (memory - 0.02) * 8 / 8192] * NODES, rel=1e-5)
    assert site.step.grad is None
    roomy, method = network("gcn", memory_kb=1e6)
    roomy.train()(*batch("node"))
    assert method.penalty(roomy).item() == 0


def test_the_first_layers_rows_count_as_wide_as_what_leaves_it() -> None:
    """GIN: 5 features enter the first product, 8 leave it."""
    model, _ = network("gin")
    model.train()(*batch("node"))
    assert {q.key: channels for q, channels in learned_rows(model)} == {
        "0/mlp1/input": 8, "0/mlp2/input": 8, "1/mlp1/input": 8, "1/mlp2/input": 8,
    }  # fmt: skip


def test_hidden_rows_of_an_mlp_count_as_they_are() -> None:
    """APPNP: 8 hidden values enter the second product, 3 leave it; 3 propagate. The data set's 5 are float."""
    model, _ = network("appnp", sites="all", profile="integer")
    model.train()(*batch("node"))
    found = {q.key: channels for q, channels in learned_rows(model)}
    assert found["0/classes/input"] == 8
    assert set(found.values()) == {8, 3}


def test_without_learned_rows_or_weight_there_is_no_penalty() -> None:
    model, method = network("gcn", bits={"default": 4, "input": 32})
    assert method.penalty(model) is None
    model, method = network("gcn", penalty=0.0)
    model.train()(*batch("node"))
    assert method.penalty(model) is None


def test_local_steps_and_bits_move_without_labels() -> None:
    """Nodes whose prediction nobody scores learn as well; by the loss those two steps away do not."""
    moved = {}
    for gradient in ("local", "task"):
        model, _ = network("gcn", gradient=gradient)
        model.train()(*batch("node"))
        site = next(q for q in quantizers(model) if isinstance(q, NodewiseQuantizer))
        F.cross_entropy(model(*batch("node"))[:1], classes("node")[:1]).backward()
        moved[gradient] = int((site.step.grad != 0).sum())
    assert moved["local"] > moved["task"] > 0


def test_steps_and_bits_are_learned() -> None:
    model, method = network("gcn")
    adam = torch.optim.Adam(method.parameter_groups(model, 0.01, 5e-4))
    site = next(q for q in quantizers(model) if isinstance(q, NodewiseQuantizer))
    for epoch in range(8):
        adam.zero_grad()
        loss = F.cross_entropy(model.train()(*batch("node")), classes("node")) + method.penalty(model)
        loss.backward()
        if epoch == 0:
            before = site.step.detach().clone(), site.width.detach().clone()
        adam.step()
    assert not torch.equal(site.step, before[0])
    assert not torch.equal(site.width, before[1])
    assert ((site.width >= 1) & (site.width <= 9)).all()
