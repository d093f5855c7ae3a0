"""The seam: which sites are quantized where, the bits map, deep copies, the twin, and what is refused."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from quant_examples import ARCHS, edges, network, rows
from torch import nn
from torch_geometric.nn import TransformerConv

from dqviz import methods
from dqviz import nn as archs
from dqviz.quant import QuantLinear, Site, quantize, quantizers, twin
from dqviz.quant.convert import set_state
from dqviz.quant.guard import Protection
from dqviz.quant.scene import in_degree
from dqviz.quant.where import Where

MLP = ["mlp1/input", "mlp1/weight", "mlp1/feature", "mlp2/input", "mlp2/weight", "mlp2/feature"]
ROOTS = ["neighbours/input", "neighbours/weight", "neighbours/feature", "root/input", "root/weight", "root/feature"]
PAPER = {
    "gcn": ["input", "weight", "feature", "norm", "message", "aggregate", "update"],
    "gin": [*MLP, "message", "aggregate", "update"],
    "gat": ["input", "weight", "feature", "message", "aggregate", "update", "alpha", "source/attention",
            "target/attention"],
    "sage": [*ROOTS, "message", "aggregate", "update"],
}  # fmt: skip
INTEGER = {
    "gcn": ["input", "weight", "feature", "norm"],
    "gin": ["mlp1/input", "mlp1/weight", "mlp2/input", "mlp2/weight", "message"],
    "gat": ["input", "weight", "feature", "norm", "alpha", "source/attention", "target/attention"],
    "sage": ["neighbours/input", "neighbours/weight", "root/weight", "message"],
}


def active(model: nn.Module) -> dict[str, int]:
    return {q.key: q.qtype.bits for q in quantizers(model) if not q.qtype.is_float}


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("profile", "expected"), [("paper", PAPER), ("integer", INTEGER)])
def test_sites_of_a_layer(arch: str, profile: str, expected: dict[str, list[str]]) -> None:
    keys = [q.key for q in quantizers(network(arch, profile=profile))]
    assert len(keys) == len(set(keys)), "a key names one site"
    found = active(network(arch, profile=profile))
    assert set(found) == {f"{layer}/{site}" for layer in (0, 1) for site in expected[arch]}


@pytest.mark.parametrize(
    ("profile", "expected"), [("paper", {"input", "weight", "feature"}), ("integer", {"input", "weight"})]
)
def test_sites_of_the_classifier(profile: str, expected: set[str]) -> None:
    found = active(network("gcn", profile=profile, kind="graph"))
    assert {key for key in found if key.startswith("2/")} == {f"2/{site}" for site in expected}


def test_inputs_and_edge_coefficients_are_unsigned() -> None:
    unsigned = {q.where.site for q in quantizers(network("gcn")) if q.where and not q.qtype.signed}
    assert unsigned == {Site.INPUT, Site.NORM}


def test_bits_by_kind_and_by_key() -> None:
    found = active(network("gcn", bits={"default": 4, "weight": 8, "1/aggregate": 2, "norm": 32}))
    assert found["0/weight"] == found["1/weight"] == 8
    assert (found["0/aggregate"], found["1/aggregate"]) == (4, 2)
    assert "0/norm" not in found
    assert active(network("gcn", bits={"weight": 4}))["0/input"] == 8


def test_bits_of_a_site_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'mesage'.*message"):
        network("gcn", bits={"mesage": 4})
    with pytest.raises(ValueError, match="'7/weight'"):
        network("gcn", bits={"default": 8, "7/weight": 4})


def test_bits_of_a_kind_that_this_architecture_lacks_are_no_error() -> None:
    assert active(network("gin", bits={"alpha": 4}))["0/message"] == 8


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="TransformerConv"):
        quantize(nn.Sequential(TransformerConv(4, 4)), methods.make("qat", {}), 8)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # torch_geometric makes one itself
@pytest.mark.parametrize("arch", ARCHS)
def test_a_sparse_edge_index_is_refused(arch: str) -> None:
    adjacency = torch.eye(12).to_sparse_coo()
    with pytest.raises((TypeError, ValueError), match=r"edge_index|dense"):
        network(arch).convs[0](rows(), adjacency)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("profile", ["paper", "integer"])
def test_a_deep_copy_owns_its_sites(arch: str, profile: str) -> None:
    model = network(arch, bits=2, profile=profile)
    model(rows(), edges())
    model.eval()
    copy = deepcopy(model)
    before = model(rows(), edges())
    assert torch.equal(copy(rows(), edges()), before)
    set_state(copy, "off")
    assert not torch.equal(copy(rows(), edges()), before), "the copy's hooks are its own"
    assert torch.equal(model(rows(), edges()), before), "the original is as it was"
    mine, others = ({id(q) for q in quantizers(m)} for m in (model, copy))
    assert not mine & others
    assert {id(s) for s in model.guard.shields}.isdisjoint(id(s) for s in copy.guard.shields)


def test_a_deep_copy_draws_its_own_masks() -> None:
    model = network("gcn", "dq")
    copy = deepcopy(model)
    copy.guard.protection = Protection(lambda degree, batch: torch.ones(len(degree)))
    copy(rows(), edges())
    assert copy.convs[0].sites.shield.rows.all()
    assert copy.convs[0].lin.shield is copy.convs[0].sites.shield is copy.guard.shields[0]
    assert model.guard.shields[0].rows is None


@pytest.mark.parametrize("arch", ARCHS)
def test_the_twin_is_the_float_network(arch: str) -> None:
    quantized, plain = network(arch, bits=2).eval(), network(arch, "fp32").eval()
    quantized.train()(rows(), edges())
    quantized.eval()
    states = [q.state for q in quantizers(quantized)]
    with twin(quantized):
        assert torch.equal(quantized(rows(), edges()), plain(rows(), edges()))
    assert [q.state for q in quantizers(quantized)] == states
    assert not torch.equal(quantized(rows(), edges()), plain(rows(), edges()))


def test_quantizing_observes_nothing() -> None:
    """A trial run at registration would put untrained attention weights into a range."""
    assert not any(q.observer.seen for q in quantizers(network("gat")))


@pytest.mark.parametrize("arch", ["gin", "sage"])
def test_nodes_quantized_once_are_edges_quantized_each(arch: str) -> None:
    """Where the message is the source row, the quantizer commutes with the gather (DESIGN.md section 3)."""
    model = network(arch, bits={"default": 32, "message": 4})
    seen = {}
    quantizer = model.convs[0].sites.message
    quantizer.recorder = lambda q, x, out, node: seen.update(x=x, out=out)
    model(rows(), edges())
    quantizer.eval()
    gathered = quantizer(seen["x"][edges()[0]])
    assert torch.equal(gathered, seen["out"][edges()[0]])


def test_in_degree_counts_edges_without_self_loops() -> None:
    assert in_degree(torch.tensor([[0, 1, 1, 2], [1, 1, 0, 1]]), 4).tolist() == [1, 2, 0, 0]


def test_attention_is_observed_as_evaluation_has_it() -> None:
    """Shares of 1: dropout scales what it leaves over, which would leave half of the codes without a value later."""
    torch.manual_seed(0)
    model = quantize(archs.make("gat", 5, 3, "node", {"dropout": 0.5}), methods.make("qat", {"observer": "abs"}), 4,
                     "integer").train()  # fmt: skip
    model(rows(), edges())
    found = [q.observer.range()[1] for q in quantizers(model) if q.key.endswith("/norm")]
    assert len(found) == 2
    assert all(0.5 < high <= 1 for high in found)


def test_keys() -> None:
    assert Where(1, "", Site.AGGREGATE).key == "1/aggregate"
    assert Where(0, "mlp1", Site.WEIGHT).key == "0/mlp1/weight"


def test_linear_layers_keep_their_parameters() -> None:
    model = network("sage")
    layers = [m for m in model.modules() if isinstance(m, QuantLinear)]
    assert [(m.in_channels, m.out_channels) for m in layers] == [(5, 4), (5, 4), (4, 3), (4, 3)]
    assert [m.bias is None for m in layers] == [False, True, False, True]


@pytest.mark.parametrize("arch", ["gcn", "gat"])
def test_an_edge_is_protected_when_its_sender_is(arch: str) -> None:
    model = network(arch, bits={"default": 32, "message": 2, "alpha": 2})
    protected = torch.zeros(12, dtype=torch.bool)
    protected[[0, 4]] = True  # the hub, and one that sends to it
    model.guard.protection = Protection(lambda degree, batch: protected * 2.0)
    seen = {}
    for quantizer in quantizers(model):
        quantizer.recorder = lambda q, x, out, node: seen.update({q.key: x == out})
    torch.manual_seed(0)
    model.train()(rows(zeros=0.0), edges())
    site = model.convs[0].sites
    sends = protected[site.sender]
    receives = protected[site.target]
    assert bool((sends != receives).any())
    for key in ("0/message", "0/alpha") if arch == "gat" else ("0/message",):
        untouched = seen[key].flatten(1).all(1)
        assert bool(untouched[sends].all())
        assert not bool(untouched[receives & ~sends].all())


def test_edges_of_the_recorder_belong_to_their_target() -> None:
    model = network("gcn")
    seen = {}
    model.convs[0].sites.message.recorder = lambda q, x, out, node: seen.update(node=node)
    model(rows(), edges())
    assert torch.equal(seen["node"], model.convs[0].sites.target)
    assert torch.equal(seen["node"][: edges().size(1) - 1], edges()[1][edges()[0] != edges()[1]])
