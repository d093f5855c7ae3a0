"""ReLU in the pass that quantizes: the same numbers and gradients as one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from quant_examples import fresh, observed, rows
from torch import Tensor, nn

from dqviz import methods
from dqviz import nn as archs
from dqviz.quant import quantize
from dqviz.quant.convert import QuantLinear
from dqviz.quant.functional import Gradient
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rectified import Rectified, marked

MASK = torch.tensor([True, False] * 6)


def both(quantizer: Quantizer, x: Tensor, mask: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """(values, gradient) of rectified(x) and of relu(quantizer(x)), under one weighting of the outputs."""
    weight = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    found = []
    for rectified in (True, False):
        leaf = x.clone().requires_grad_()
        out = quantizer.rectified(leaf, mask) if rectified else F.relu(quantizer(leaf, mask))
        (out * weight).sum().backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        found.append((out.detach(), leaf.grad))
    return found


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("gradient", ["ste", "gc"])
@pytest.mark.parametrize("ends", [(-8, 7), (0, 15), (-9, 3), (-5, 0), (0, 0)])
def test_values_and_gradients_are_those_of_two_passes(
    ends: tuple[float, float], gradient: Gradient, mask: Tensor | None
) -> None:
    quantizer = observed(*ends, 4, gradient=gradient)
    one, other = both(quantizer, (rows() - 0.3) * 20, mask)
    assert torch.equal(*(values for values, _ in (one, other)))
    assert torch.equal(*(grad for _, grad in (one, other)))


@pytest.mark.parametrize("observer", ["abs", "mom", "per"])
def test_the_range_is_taken_before_the_relu(observer: str) -> None:
    x = rows() - 0.3
    one, other = fresh(observer, 4), fresh(observer, 4)
    assert torch.equal(one.rectified(x), F.relu(other(x)))
    assert one.observer.range() == other.observer.range()
    assert one.observer.range()[0] < 0


def test_a_site_that_is_watched_or_off_or_noisy_is_left_to_itself() -> None:
    x = rows() - 0.3
    seen: list[Any] = []
    watched, off, noisy, wide = fresh(bits=4), fresh(bits=4), fresh(bits=4), fresh(bits=32)
    watched.recorder = lambda *args: seen.append(args[2])
    off.state, noisy.share = "off", 0.5
    assert watched.rectified(x).min() == 0
    assert seen[0].min() < 0, "the recorder sees what the site gives"
    for untouched in (off, wide):
        assert torch.equal(untouched.rectified(x), F.relu(x))
    assert noisy.rectified(x).min() == 0


@pytest.mark.parametrize("kind", ["lsq", "qlr"])
def test_a_learned_site_is_left_to_itself(kind: str) -> None:
    model = network("qat" if kind == "lsq" else kind, {"quantizer": "lsq"} if kind == "lsq" else {})
    site = next(m.feature_q for m in model.modules() if isinstance(m, QuantLinear) and m.before_relu)
    x = torch.randn(12, 8)
    site.train()(x)
    assert torch.equal(site.eval().rectified(x), F.relu(site(x)))


def network(method: str, settings: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    model = archs.make("gin", 5, 2, "graph", {"hidden": 8, "dropout": 0.0, "benchmark": True})
    return quantize(model, methods.make(method, settings), 4)


@pytest.mark.parametrize(("method", "settings"), [("fp32", {}), ("qat", {}), ("dq", {"p_min": 0.3, "p_max": 0.8}),
                                                  ("dq", {"p_min": 0.3, "p_max": 0.8, "mlp": "quantized"}),
                                                  ("qat", {"quantizer": "lsq"}), ("nqat", {})])  # fmt: skip
def test_a_network_trains_as_with_relus_of_their_own(method: str, settings: dict[str, Any]) -> None:
    found = []
    generator = torch.Generator().manual_seed(3)
    x, edges = torch.rand(30, 5, generator=generator), torch.randint(0, 30, (2, 90), generator=generator)
    for plain in (False, True):
        model = network(method, settings)
        taken = [m for m in model.modules() if isinstance(m, QuantLinear) and m.before_relu]
        assert len(taken) == sum(isinstance(m, Rectified) for m in model.modules()) == 5
        for linear in taken if plain else ():
            linear.before_relu = False
        torch.manual_seed(1)
        out = model.train()(x, edges, torch.arange(30) // 10)
        F.cross_entropy(out, torch.tensor([0, 1, 0])).backward()
        found.append([out.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_only_a_relu_right_behind_is_taken() -> None:
    model = archs.make("gin", 5, 2, "graph", {"hidden": 8, "batch_norm": True})
    model = quantize(model, methods.make("qat", {}), 8)
    inside = [m for conv in model.convs for m in conv.modules()]  # type: ignore[union-attr]
    assert not any(m.before_relu for m in inside if isinstance(m, QuantLinear)), "batch norm stands between"


def test_rows_that_are_not_marked_are_rectified() -> None:
    x = torch.tensor([[-1.0, 2.0]])
    assert Rectified()(x).tolist() == [[0, 2]]
    assert Rectified()(marked(x)) is x
