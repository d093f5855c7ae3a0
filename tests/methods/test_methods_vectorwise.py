"""Vector-wise QAT: which sites have a step a row, that it is `qat` with rows, and when it is switched on."""

from __future__ import annotations

import torch
from methods_examples import batch, make, trained

from dqviz.methods.base import make as make_method
from dqviz.quant import Site, quantizers
from dqviz.quant.rowrange import RowRange

ROWS = {Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE}


def test_which_sites_have_a_step_a_row() -> None:
    for q in quantizers(trained("gcn", "vectorwise", "node", "paper")):
        assert isinstance(q, RowRange) == (q.where.site in ROWS and not q.where.edges), q.key


def test_a_hub_stretches_no_other_range() -> None:
    q = next(q for q in quantizers(trained("gcn", "vectorwise", "node", "paper")) if q.key == "1/aggregate")
    x = torch.tensor([[0.1, 0.2, 0.3, -0.3], [1.0, 2.0, 3.0, 0.0]])
    alone, beside = q(x), q(x * torch.tensor([[1.0], [1000.0]]))
    assert torch.equal(alone[0], beside[0])
    assert (alone[0] - x[0]).abs().max() <= 0.3001 / (2**q.qtype.bits - 1)


def test_it_is_qat_with_rows() -> None:
    networks = [trained("gcn", name, "node", "paper") for name in ("vectorwise", "qat rows", "qat")]
    with torch.no_grad():
        own, rows, plain = (network.eval()(*batch("node")) for network in networks)
    assert torch.equal(own, rows)
    assert not torch.equal(own, plain)


def test_quantizers_come_on_for_the_last_epochs() -> None:
    method = make_method("vectorwise", {"finetune": 0.25})
    assert method.prepares
    assert [method.state_at(epoch, 4) for epoch in range(4)] == ["off", "off", "off", "on"]
    assert not make("vectorwise").prepares
