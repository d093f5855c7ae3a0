"""Degree-Quant's mask: the probability by hand, how often it is drawn, per layer or per forward pass; PTQ's ranges."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods_examples import NODES, batch, build, steps, trained, weights
from torch import Tensor

from dqviz import methods
from dqviz.errors import BadInput
from dqviz.methods import METHODS
from dqviz.methods.dq import protection_probability
from dqviz.quant import Quantizer, quantize, quantizers
from dqviz.quant.scene import in_degree


def test_probability_by_hand() -> None:
    """Degrees 3 1 1 0 2: inclusive CDF 1, 0.6, 0.6, 0.2, 0.8."""
    found = protection_probability(torch.tensor([3, 1, 1, 0, 2]), 0.1, 0.6)
    assert found.tolist() == pytest.approx([0.6, 0.4, 0.4, 0.2, 0.5])
    assert found.dtype == torch.float32


def test_probability_of_each_graph_in_a_batch() -> None:
    degree = torch.tensor([5, 1, 2, 2, 0, 9])
    group = torch.tensor([0, 0, 1, 1, 1, 2])
    together = protection_probability(degree, 0.0, 1.0, group)
    assert together.tolist() == pytest.approx([1.0, 0.5, 1.0, 1.0, 1 / 3, 1.0])
    for graph in range(3):
        alone = protection_probability(degree[group == graph], 0.0, 1.0)
        assert torch.equal(together[group == graph], alone)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_probability_of_any_degrees(degrees: list[int], a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    found = protection_probability(torch.tensor(degrees), low, high).tolist()
    for degree, p in zip(degrees, found, strict=True):
        share = sum(d <= degree for d in degrees) / len(degrees)
        assert p == pytest.approx(low + (high - low) * share, abs=1e-6)
    assert found[degrees.index(max(degrees))] == pytest.approx(high, abs=1e-6)


def test_no_nodes_no_probability() -> None:
    assert protection_probability(torch.zeros(0, dtype=torch.long), 0.0, 1.0).numel() == 0


@pytest.mark.parametrize("mask", ["layer", "forward"])
def test_nodes_are_protected_as_often_as_said(mask: str) -> None:
    model = quantized(mask=mask, p_min=0.1, p_max=0.9)
    x, edge_index = batch("node")
    draws = 600
    model.train()
    torch.manual_seed(3)
    for _ in range(draws):
        model.guard.before_forward(model, (x, edge_index))
    layers = 2 if mask == "layer" else 1
    assert model.guard.steps == draws * layers
    p = protection_probability(in_degree(edge_index, NODES), 0.1, 0.9)
    bound = 5 * (p * (1 - p) / (draws * layers)).sqrt() + 1e-6  # five standard deviations, 24 nodes
    assert bool(((model.guard.frequency() - p).abs() <= bound).all())


def quantized(**values: object) -> torch.nn.Module:
    from dqviz import nn as archs

    torch.manual_seed(0)
    return quantize(archs.make("gcn", 5, 3, "node", {"dropout": 0.0}), methods.make("dq", values), 4)


@pytest.mark.parametrize(("mask", "same"), [("layer", False), ("forward", True)])
def test_mask_per_layer_or_once(mask: str, same: bool) -> None:
    model = quantized(mask=mask, p_min=0.5, p_max=0.5)
    torch.manual_seed(0)
    model.train()(*batch("node"))
    first, second = (shield.rows for shield in model.guard.shields)
    assert torch.equal(first, second) == same


def test_protection_none_and_always() -> None:
    for p, expected in ((0.0, False), (1.0, True)):
        model = quantized(p_min=p, p_max=p)
        model.train()(*batch("node"))
        assert all(bool((shield.rows == expected).all()) for shield in model.guard.shields)


@pytest.mark.parametrize(("mlp", "protected"), [("protected", True), ("quantized", False)])
def test_an_mlp_is_protected_or_quantized(mlp: str, protected: bool) -> None:
    """What the MLP's first product reads is what its layer's sum is, to the bit, where it is protected."""
    from dqviz import nn as archs

    torch.manual_seed(0)
    model: Any = quantize(
        archs.make("gin", 5, 3, "node", {"dropout": 0.0}),
        methods.make("dq", {"p_min": 1.0, "p_max": 1.0, "mlp": mlp}), 4,
    )  # fmt: skip
    read: list[Tensor] = []
    model.convs[0].nn[0].input_q.register_forward_hook(lambda _, inputs, out: read.extend([inputs[0], out]))
    model.train()(*batch("node"))
    assert torch.equal(*read) == protected
    assert all(bool(shield.rows.all()) for shield in model.guard.shields)


def test_the_measured_share_survives_going_back_to_the_best_weights() -> None:
    model = quantized(p_min=1.0, p_max=1.0)
    best = {name: value.clone() for name, value in model.state_dict().items()}
    steps(model, "node", 4)
    model.load_state_dict(best)
    assert model.guard.frequency().tolist() == [1.0] * NODES


def test_other_methods_protect_nothing() -> None:
    for name in ("fp32", "ptq", "qat", "nqat"):
        assert methods.make(name, {}).protection() is None


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("dq", {"p_min": 0.5, "p_max": 0.1}, r"p_min must not be above p_max \(0\.5 > 0\.1\)"),
        ("dq", {"p_max": 1.5}, "p_max"),
        ("dq", {"p_min": math.nan}, "p_min"),
        ("qat", {"observer": "best"}, "'abs', 'mom' or 'per'"),
        ("qat", {"p_max": 0.1}, "p_max"),
        ("none", {}, ", ".join(sorted(METHODS.names()))),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_sentence(name: str, values: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        methods.make(name, values)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("gradient", ["ste", "gc"])
@pytest.mark.parametrize("observer", ["abs", "mom", "per"])
def test_six_modes(gradient: str, observer: str) -> None:
    method = methods.make("qat", {"gradient": gradient, "observer": observer})
    from dqviz import nn as archs

    torch.manual_seed(0)
    model = quantize(archs.make("gcn", 5, 3, "node", {"dropout": 0.0}), method, 4)
    assert {q.gradient for q in quantizers(model)} == {gradient}
    names = {"abs": "RunningMinMax", "mom": "MomentumMinMax", "per": "Percentile"}
    assert {type(q.observer).__name__ for q in quantizers(model)} == {names[observer]}
    steps(model, "node")


def sent(quantizer: Quantizer, x: torch.Tensor) -> torch.Tensor:
    """x; where rows of nodes stand for their messages, those that are sent nowhere are 0."""
    return x if quantizer.copies is None else x.to_dense() * (quantizer.copies.rows > 0)[:, None]


def ends(x: torch.Tensor) -> tuple[float, float]:
    return x.min().item(), x.max().item()


@pytest.mark.parametrize("kind", ["node", "graph"])
@pytest.mark.parametrize("arch", ["gcn", "gat", "gin", "sage"])
def test_ptq_trains_as_fp32_and_takes_its_ranges_afterwards(arch: str, kind: str) -> None:
    ptq, fp32 = (trained(arch, method, kind, "paper") for method in ("ptq", "fp32"))
    expected = weights(fp32)
    for name, value in weights(ptq).items():
        assert torch.equal(value, expected[name]), name
    extremes: dict[str, tuple[float, float]] = {}
    for quantizer in quantizers(fp32):
        quantizer.recorder = lambda q, x, out, node: extremes.update({q.key: ends(sent(q, x))})
    with torch.no_grad():
        fp32(*batch(kind))
    active = [q for q in quantizers(ptq) if not q.qtype.is_float]
    assert active
    assert [(q.key, q.observer.range()) for q in active] == [(q.key, extremes[q.key]) for q in active]


def test_build_is_the_same_for_every_method() -> None:
    first, *others = (weights(build("gat", m, "graph")) for m in ("fp32", "ptq", "qat", "dq"))
    assert all(torch.equal(other[name], first[name]) for other in others for name in first)
