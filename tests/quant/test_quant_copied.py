"""Ranges of messages from the rows that are sent: what an observer of every edge would find."""

from __future__ import annotations

import pytest
import torch
from quant_examples import sparse
from torch import Tensor

from dqviz import methods
from dqviz import nn as archs
from dqviz.quant import passes, quantize, quantizers
from dqviz.quant.columnrange import ColumnRange
from dqviz.quant.observers import make_observer
from dqviz.quant.passes import Copies, Protected


@pytest.fixture(params=["c", "torch"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(passes, "built", lambda: False)
    elif not passes.built():
        pytest.skip("the C library is not built")


def star(nodes: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows [nodes, 5] and edges [2, ...]: the last node, whose values are the largest, sends to all others."""
    torch.manual_seed(seed)
    x = torch.randn(nodes, 5) * (torch.rand(nodes, 5) < 0.8)
    x[-1] = torch.tensor([50.0, -40.0, 30.0, 0.0, 1.0])
    hub = torch.stack([torch.full((nodes - 1,), nodes - 1), torch.arange(nodes - 1)])
    return x, torch.cat([hub, torch.randint(0, nodes - 10, (2, 600))], dim=1)  # nine send nothing


@pytest.mark.parametrize("protecting", [False, True])
@pytest.mark.parametrize("name", ["abs", "mom", "per"])
def test_an_observer_of_rows_finds_the_range_of_messages(where: None, name: str, protecting: bool) -> None:
    by_row, by_edge = (make_observer(name, 8, percentile=0.01) for _ in range(2))
    for seed in range(6):
        x, (source, _) = star(seed=seed)
        x = x * (1 + seed % 3)
        protected = torch.rand(len(x)) < 0.1 if protecting else None
        copies = Copies.of(torch.bincount(source, minlength=len(x)))
        by_row.observe(x, None if protected is None else Protected(protected), copies)
        by_edge.observe(x[source], None if protected is None else Protected(protected[source]))
        assert by_row.range() == by_edge.range()
    assert by_row.range()[1] > 50 or name == "mom"


def test_a_percentile_over_nodes_would_clip_the_hub() -> None:
    x, (source, _) = star()
    nodes, messages = (make_observer("per", 8, percentile=0.01) for _ in range(2))
    nodes.observe(x)
    messages.observe(x, None, Copies.of(torch.bincount(source, minlength=len(x))))
    assert nodes.range()[1] < 5
    assert messages.range() == (-40.0, 50.0)


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("arch", ["gin", "sage"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_layers_that_send_rows_observe_messages(where: None, arch: str, csr: bool, share: float) -> None:
    x, edges = star()
    own = {"p_min": share, "p_max": share, "observer": "per", "percentile": 0.01}
    torch.manual_seed(3)
    model = quantize(archs.make(arch, 5, 3, "node", {"dropout": 0.0}), methods.make("dq", own), 8).train()
    model(sparse(x) if csr else x, edges)
    shield = model.guard.shields[0].rows
    protected = None if shield is None else Protected(shield[edges[0]])
    message = next(q for q in quantizers(model) if q.key == "0/message")
    expected = make_observer("per", 8, percentile=0.01)
    expected.observe(x[edges[0]], protected)
    assert message.observer.range() == expected.range()
    assert expected.range()[1] > 1


@pytest.mark.parametrize("observer", ["abs", "per"])
@pytest.mark.parametrize("csr", [False, True])
def test_ranges_of_columns_are_those_of_messages(observer: str, csr: bool) -> None:
    x, edges = star()
    x[-9:-1] *= 100  # sent nowhere
    own = {"quantizer": "columns", "observer": observer, "percentile": 0.01}
    torch.manual_seed(3)
    model = quantize(archs.make("gin", 5, 3, "node", {"dropout": 0.0}), methods.make("qat", own), 8).train()
    model(sparse(x) if csr else x, edges)
    message = next(q for q in quantizers(model) if q.key == "0/message")
    expected = ColumnRange(message.qtype, clipped=message.clipped).train()
    expected.fit(5)
    sent = x[edges[0]]
    expected(sparse(sent) if csr else sent)
    assert torch.equal(message.lo, expected.lo)
    assert torch.equal(message.hi, expected.hi)
    assert message.hi.max() < 100


@pytest.mark.parametrize("observer", ["abs", "mom", "per"])
@pytest.mark.parametrize("quantizer", ["observed", "lsq", "rows", "columns", "pow2", "apot"])
@pytest.mark.parametrize("arch", ["gin", "sage", "gcn", "gat"])
def test_a_batch_without_edges_sends_nothing(arch: str, quantizer: str, observer: str) -> None:
    x, edges = star()
    own = {"quantizer": quantizer, "observer": observer, "percentile": 0.01}
    model = quantize(archs.make(arch, 5, 3, "node", {"dropout": 0.0}), methods.make("qat", own), 8).train()
    for edge_index in (edges[:, :0], edges, edges[:, :0]):
        loss = model(x, edge_index).square().sum()
        loss.backward()
        assert loss.isfinite()
