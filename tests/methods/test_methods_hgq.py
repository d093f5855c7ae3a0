"""HGQ in networks: phases, the penalty, where bits go, integer runs of what came out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from methods_examples import batch, search
from torch import nn

from dqviz import integer, methods, quant
from dqviz import nn as archs
from dqviz.methods.hgq import Hgq
from dqviz.quant import quantizers
from dqviz.quant.convert import set_state
from dqviz.quant.fractional import FractionalQuantizer


def hgq(**settings: Any) -> Hgq:
    method = methods.make("hgq", settings)
    assert isinstance(method, Hgq)
    return method


def searched(method: Hgq, steps: int, bits: int = 8, profile: str = "paper") -> nn.Module:
    """After some steps of the search on a tiny task."""
    torch.manual_seed(0)
    x, edge_index, *_ = batch("node")
    method.scene.show(x.size(0), edge_index)
    model = quant.quantize(
        archs.make("gcn", x.size(1), 3, "node", {"hidden": 8, "dropout": 0.0}), method, bits, profile
    )
    return search(model.train(), method, steps, "node")


def sites(model: nn.Module) -> list[FractionalQuantizer]:
    return [q for q in quantizers(model) if isinstance(q, FractionalQuantizer)]


def test_the_search_takes_its_share_and_never_the_last_epoch() -> None:
    states = [hgq(search=0.75).state_at(epoch, 8) for epoch in range(8)]
    assert states == ["search"] * 6 + ["on"] * 2
    assert hgq(search=0.99).state_at(0, 1) == "on"


def test_the_penalty_is_the_mean_of_bits_over_values() -> None:
    method = hgq(penalty=4.0)
    model = searched(method, 1)
    found = sites(model)
    with torch.no_grad():
        for q in found:
            q.bits.fill_(4.0)
        found[0].bits.fill_(8.0)
    model(*batch("node"))
    penalty = method.penalty(model)
    assert penalty is not None
    expected = 4.0 / 8 * (4 + 4 * found[0].values / sum(q.values for q in found))
    assert penalty.item() == pytest.approx(expected, rel=1e-6)
    set_state(model, "on")
    assert method.penalty(model) is None


def test_a_heavy_penalty_takes_the_fewest_bits_and_none_may_take_more() -> None:
    light = searched(hgq(penalty=1000.0, bits_lr=0.3), 40)
    assert {q.qtype.bits for q in sites(light)} == {2}
    free = searched(hgq(penalty=0.0, bits_lr=0.3), 10)
    assert {q.bits.item() != 8.0 for q in sites(free)} == {True, False}, "the loss alone moves some, up to the most"


def test_bits_have_their_own_rate_and_no_decay() -> None:
    method = hgq(bits_lr=0.3)
    model = searched(method, 0)
    weights, bits = method.parameter_groups(model, 0.01, 0.1)
    assert (bits["lr"], bits["weight_decay"], len(bits["params"])) == (0.3, 0.0, len(sites(model)))
    assert len(weights["params"]) + len(bits["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("kernels", ["reference", "numba", "native"])
def test_any_width_that_came_out_runs_in_integers(kernels: str) -> None:
    """Widths of 5 to 7 bits among them."""
    model = searched(hgq(), 2, profile="integer")
    with torch.no_grad():
        for at, q in enumerate(sites(model)):
            q.bits.fill_(2.0 + at % 7)
    set_state(model.eval(), "on")
    x, edge_index, *_ = batch("node")
    with torch.no_grad():
        expected = model(x, edge_index)
    assert {q.qtype.bits for q in sites(model)} >= {2, 5, 6, 7}
    found = integer.Session(integer.plan(model), kernels).run(x, edge_index)
    steps = (found - expected).abs().max().item() / sites(model)[-1].qparams().scale
    assert steps <= 1.01, "sums in float32 may round to the next code"
