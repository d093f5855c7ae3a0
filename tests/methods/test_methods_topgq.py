"""TopGQ: steps by topology, folded into GCN's coefficients; its integer run is exact, others say why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from methods_examples import NODES, batch, build, ended, make, trained

from dqviz import integer
from dqviz.errors import Unavailable
from dqviz.integer.codes import Codes
from dqviz.integer.graph import features_of
from dqviz.integer.kernels import BACKENDS
from dqviz.quant import Site, quantizers
from dqviz.quant.convert import set_state
from dqviz.quant.folded import FoldedQuantizer, NodeQuantizer
from dqviz.training.batches import Batch
from dqviz.training.trace import record

KERNELS = [entry.name for entry in BACKENDS if entry.facts["class"].available()]


def model_of(arch: str, kind: str, bits: Any, profile: str = "integer") -> Any:
    return ended(build(arch, "topgq", kind, profile, bits), make("topgq"), kind)


def test_which_sites_have_steps_of_nodes() -> None:
    for q in quantizers(trained("gcn", "topgq", "node", "paper")):
        rows = q.where.site in {Site.FEATURE, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE} or q.key == "0/input"
        assert isinstance(q, NodeQuantizer) == rows, q.key
        assert isinstance(q, FoldedQuantizer) == (q.where.site is Site.NORM), q.key
        assert q.own_rows == rows


def test_alike_neighbourhoods_share_their_step() -> None:
    model = trained("gcn", "topgq", "node", "paper")
    feature = next(q for q in quantizers(model) if q.key == "0/feature")
    step = feature.grid(torch.ones(NODES, 8)).step[:, 0]
    index = feature.topology.index(NODES)
    for group in index.unique():
        assert step[index == group].unique().numel() == 1
    assert step.unique().numel() > 2


@pytest.mark.parametrize("bits", [8, 4, 2, {"default": 8, "feature": 4, "norm": 6, "weight": 3}])
@pytest.mark.parametrize("kind", ["node", "graph"])
def test_gcn_in_integers_is_exact(kind: str, bits: Any) -> None:
    """Every kernel gives the reference's bits, and every code is that of the fake-quantized network in float64."""
    model = model_of("gcn", kind, bits)
    program = integer.plan(model)
    assert program.skipped == ()
    x, edge_index, *group = batch(kind)
    session = integer.Session(program, "reference")
    frame = session.frame(features_of(x), session.prepare(edge_index, NODES, *group))
    logits = torch.from_numpy(session.execute(frame))
    for name in KERNELS:
        for threads in (1, 2):
            assert torch.equal(integer.Session(program, name, threads).run(x, edge_index, *group), logits), name
    for conv in model.convs:
        conv.cached = True  # keeps the normalisation of float32 below
    with torch.no_grad():
        model(x, edge_index, *group)
    expected, seen = record(doubled(model), Batch(x.double(), edge_index, group[0] if group else None,
                                                  torch.zeros(0), torch.zeros(0)))  # fmt: skip
    compared = 0
    for op in program.ops:
        codes = frame.values[op.target]
        if op.out is not None and isinstance(codes, Codes):
            fake = seen[op.out.key]
            grid = fake.quantizer.grid(fake.x)
            shift = 0 if fake.quantizer.qtype.signed else 2 ** (codes.params.bits - 1)
            found = (fake.xq / grid.step.double()).round() + grid.zero - shift
            np.testing.assert_array_equal(codes.values, found.numpy())
            compared += 1
    assert compared >= 4
    assert ((logits - expected).abs() <= 1e-5 * expected.abs().max()).all()


def doubled(model: Any) -> Any:
    copy = model.double()
    for conv in copy.convs:
        edges, weight = conv._cached_edge_index
        conv._cached_edge_index = edges, weight.double()
    return copy


def test_steps_are_worked_out_for_the_graph_that_is_run() -> None:
    """Fewer edges: other neighbourhoods, other steps; the session follows the model."""
    model = model_of("gcn", "graph", 8)
    x, edge_index, group = batch("graph")
    fewer = edge_index[:, ::2].contiguous()
    found = integer.Session(integer.plan(model), "reference").run(x, fewer, group)
    with torch.no_grad():
        assert (found - model(x, fewer, group)).abs().max() <= 0.02 * found.abs().max()


def test_a_restored_network_that_has_seen_no_graph_has_an_integer_program() -> None:
    """Its coefficients fold in steps of nodes all the same; Latency had no integer row of a TopGQ run."""
    model = model_of("gcn", "node", 8)
    restored = build("gcn", "topgq", "node", "integer", 8)
    restored.load_state_dict(model.state_dict())
    set_state(restored.eval(), "on")
    x, edge_index = batch("node")
    runs = [integer.Session(integer.plan(one), "reference").run(x, edge_index) for one in (restored, model)]
    np.testing.assert_array_equal(*runs)


def test_what_the_product_writes_has_the_steps_of_nodes() -> None:
    model = model_of("gcn", "node", 8)
    program = integer.plan(model)
    x, edge_index = batch("node")
    session = integer.Session(program, "reference")
    frame = session.frame(features_of(x), session.prepare(edge_index, NODES))
    session.execute(frame)
    gemm = next(op for op in program.ops if op.name == "gcn/0/gemm")
    codes = frame.values[gemm.target]
    steps = gemm.steps.of(integer.graph.Edges(edge_index, NODES))
    _, seen = record(model, Batch(x, edge_index, None, torch.zeros(0), torch.zeros(0)))
    real = Codes(codes.data, replace(codes.params, rows=steps), codes.channels).real()
    np.testing.assert_allclose(real, seen["0/feature"].xq.numpy(), rtol=0, atol=1.01 * steps.max())
    assert (np.abs(real - seen["0/feature"].xq.numpy()) < 1e-6).mean() > 0.99


@pytest.mark.parametrize(("arch", "site"), [("gin", "0/message"), ("sage", "0/message"), ("gat", "0/input")])
def test_what_cannot_absorb_a_step_says_so(arch: str, site: str) -> None:
    with pytest.raises(Unavailable, match=f"rows have grids of their own at site '{site}'") as caught:
        integer.plan(model_of(arch, "node", 8))
    assert str(caught.value).count(".") == 1


def test_where_features_stay_float_coefficients_have_one_step() -> None:
    model = model_of("gcn", "node", {"default": 8, "feature": 32})
    norm = next(q for q in quantizers(model) if q.key == "0/norm")
    assert norm.source is None
    assert norm.grid(torch.ones(4)).is_one


GOLDEN = [-0.376326, 0.280504, -0.889737]


def test_golden_values() -> None:
    """First row of logits; recorded when the tests above were first green."""
    found = trained("gcn", "topgq", "node", "integer")(*batch("node"))[0]
    assert found.tolist() == pytest.approx(GOLDEN, abs=1e-5)
