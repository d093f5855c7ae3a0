"""nQAT's mask and learned steps inside networks: shares, optimizer groups, states, integer runs of every method."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from methods_examples import VARIANTS, batch, build, classes, ended, make, steps

from dqviz import integer, methods
from dqviz import nn as archs
from dqviz.errors import Unavailable
from dqviz.methods import METHODS
from dqviz.quant import QType, Quantizer, Site, quantize, quantizers
from dqviz.quant.learned import LearnedQuantizer
from dqviz.quant.observers import make_observer
from dqviz.quant.qtype import FLOAT_BITS
from dqviz.quant.where import PARAMETERS

INTEGER = [name for name, (method, _) in VARIANTS.items() if METHODS[method].facts.get("integer", method != "fp32")]
"""Methods whose sites all have integer grids; the others say so in their entry."""
LEARNED = [name for name in VARIANTS if name.endswith("lsq")]


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.7, 1.0])
def test_share_of_quantized_weights_is_the_rate(rate: float) -> None:
    """Five standard deviations of a binomial; at evaluation all are quantized."""
    quantizer = Quantizer(QType(4), make_observer("abs", 4))
    quantizer.share = rate
    torch.manual_seed(0)
    x = torch.rand(200, 100) + 0.013
    changed = (quantizer(x) != x).double().mean().item()
    whole = quantizer.eval()(x)
    everywhere = (whole != x).double().mean().item()
    assert abs(changed - rate * everywhere) <= 5 * (rate * (1 - rate) / x.numel()) ** 0.5 + 1e-9
    noisy = quantizer.train()(x)
    assert torch.equal(noisy[noisy != x], whole[noisy != x])


def test_noise_is_drawn_anew_and_only_on_weights() -> None:
    model = build("gat", "nqat", "node").train()
    shares = {q.where.site: q.share for q in quantizers(model)}
    assert {site for site, share in shares.items() if share < 1} == PARAMETERS
    weight = next(q for q in quantizers(model) if q.where.site == Site.WEIGHT)
    x = torch.randn(40, 40)
    assert not torch.equal(weight(x), weight(x))
    assert torch.equal(weight.eval()(x), weight(x))


def test_ranges_are_those_of_all_weights() -> None:
    x = torch.randn(30, 30)
    noisy, plain = (Quantizer(QType(4), make_observer("abs", 4)) for _ in range(2))
    noisy.share = 0.1
    noisy(x), plain(x)
    assert noisy.observer.range() == plain.observer.range()


def test_rate_1_is_qat() -> None:
    states = []
    for name, values in (("qat", {}), ("nqat", {"rate": 1.0})):
        torch.manual_seed(0)
        model = quantize(archs.make("gcn", 5, 3, "node", {"dropout": 0.0}), methods.make(name, values), 4)
        states.append(steps(model, "node").state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("variant", LEARNED)
def test_learned_steps_have_their_own_rate_and_no_decay(variant: str) -> None:
    model, method = build("gat", variant, "node"), make(variant)
    weights, learned = method.parameter_groups(model, 0.3, 0.1)
    assert (weights["lr"], weights["weight_decay"]) == (0.3, 0.1)
    assert (learned["lr"], learned["weight_decay"]) == (0.01, 0.0)
    assert len(weights["params"]) + len(learned["params"]) == len(list(model.parameters()))
    for quantizer in quantizers(model):
        assert isinstance(quantizer, LearnedQuantizer) != quantizer.qtype.is_float
    (only,) = make("qat").parameter_groups(build("gcn", "qat", "node"), 0.3, 0.1)
    assert only["lr"] == 0.3


def test_works_are_cited_where_they_are_used() -> None:
    assert "esser2020" in METHODS["dq"].works({"quantizer": "lsq"})
    assert METHODS["dq"].works({"quantizer": "observed"}) == METHODS["dq"].works({}) == {"tailor2021"}


def test_steps_are_learned() -> None:
    model = build("gcn", "qat lsq", "node")
    steps(model, "node", 1)
    before = {q.key: q.qparams().scale for q in quantizers(model)}
    steps(model, "node", 3)
    assert all(q.qparams().scale != before[q.key] for q in quantizers(model))


def test_first_steps_come_from_the_first_batch_and_survive_a_state(tmp_path: Path) -> None:
    """As a checkpoint keeps them: learned steps, what the first batch showed, the optimizer's moments."""
    model = build("gin", "dq lsq", "node")
    steps(model, "node", 2)
    torch.save(model.state_dict(), tmp_path / "state")
    other = build("gin", "dq lsq", "node")
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert [q.qparams() for q in quantizers(other)] == [q.qparams() for q in quantizers(model)]
    assert all(q.observer.seen for q in quantizers(other) if not q.qtype.is_float)


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("arch", archs.ARCHS.names())
@pytest.mark.parametrize("variant", INTEGER)
def test_every_method_of_integer_grids_runs_in_integers(variant: str, arch: str, bits: int) -> None:
    """Codes of the integer session are those of the fake-quantized network in float64, at 8, 4 and 2 bits.

    Or it says at which site that is not possible: one left in float, or one that has not one even grid for all values.
    """
    model = ended(build(arch, variant, "node", "integer", bits), make(variant), "node")
    uneven = {q.key for q in quantizers(model) if q.own_rows or q.own_columns or q.own_levels}
    hindered = {q.key for q in quantizers(model) if q.asked < FLOAT_BITS and q.qtype.is_float} | uneven
    x, edge_index = batch("node")
    try:
        logits = integer.Session(integer.plan(model), "reference").run(x, edge_index)
    except Unavailable as reason:  # of rows that are summed only the graph's features tell whether they share a step
        if any(repr(key) in str(reason) for key in hindered):
            return
        raise
    expected = doubled_logits(model, x, edge_index)
    close = (logits - expected).abs() <= 1e-4 * expected.abs().max() + 1e-6
    assert close.all()


@pytest.mark.parametrize("arch", archs.ARCHS.names())
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in INTEGER])
def test_the_others_say_why_not(variant: str, arch: str) -> None:
    with pytest.raises(Unavailable, match=r"^No integer run: [^.]+\.$"):
        integer.plan(ended(build(arch, variant, "node", "integer", 8), make(variant), "node"))


def doubled_logits(model: Any, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
    """The fake-quantized network in float64, whose sums are free of noise, on the normalisation of float32."""
    with torch.no_grad():
        model(x, edge_index)
        copy = deepcopy(model).double()
        for module in copy.modules():
            if getattr(module, "_cached_edge_index", None) is not None:
                edges, weight = module._cached_edge_index
                module._cached_edge_index = edges, weight.double()
        return copy(x.double(), edge_index)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["node", "graph"])
@pytest.mark.parametrize("arch", archs.ARCHS.names())
def test_two_bits_train(arch: str, kind: str, variant: str) -> None:
    model = steps(build(arch, variant, kind, bits=2), kind, 5)
    loss = F.cross_entropy(model(*batch(kind)), classes(kind))
    assert loss.isfinite()
