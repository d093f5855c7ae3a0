"""Two tiny tasks, and a network of any method on any architecture trained for three steps."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dqviz import methods
from dqviz import nn as archs
from dqviz.methods import METHODS, Method
from dqviz.methods.quantizers import MAKERS
from dqviz.nn import ARCHS
from dqviz.quant import quantize, quantizers
from dqviz.quant.convert import set_state
from dqviz.quant.guard import Protection

LEARNED = {f"{name} lsq": (name, {"quantizer": "lsq"}) for name in ("qat", "nqat", "dq")}
KINDS = {f"qat {kind}": ("qat", {"quantizer": kind}) for kind in MAKERS if kind not in {"observed", "lsq"}}
ALL = {"sites": "all"}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgquant topology": ("sgquant", ALL | {"granularity": "topology", "range": "own", "weights": "quantized"}),
    "sgquant weights": ("sgquant", ALL | {"granularity": "layer", "weights": "quantized"}),
    "sgquant auto": ("sgquant", ALL | {"granularity": "auto", "budget": 3.0}),
    "a2q all": ("a2q", ALL | {"gradient": "task"}),
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = (
    {name: (name, {}) for name in METHODS.names()} | LEARNED | KINDS | ROWS
)
"""Every method as it comes, those that can learn their steps with learned steps, other kinds of quantizers,
those of rows that differ in bits."""
FEATURES, CLASSES, NODES = 5, 3, 24
SMALL = {"hidden": 8, "dropout": 0.0, "layers": 2}
TELLING = ("gcn", "gin", "gat")
"""Architectures on which a method's options are tried as well: one of each way in which layers make messages."""
PROPAGATIONS = ("appnp", "smp")
"""They classify before they propagate: no layer comes after the last step."""
STEPS = 3


def make(variant: str) -> Method:
    """The method of a variant."""
    return methods.make(*VARIANTS[variant])


def only_nodes(kind: str, arch: str) -> dict[str, int]:
    """What a mask can protect at 4 bits, the rest (weights, edge coefficients, a graph's own rows) at 32."""
    classifies = kind == "graph" and arch not in PROPAGATIONS
    head = {"2/input": 32, "2/feature": 32} if classifies else {}
    return {"default": 4, "weight": 32, "norm": 32, "attention": 32, **head}


def batch(kind: str) -> tuple[Tensor, ...]:
    """(x, edge_index) with a hub and an isolated node; for graphs also which of 3 graphs each node is in."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(NODES, FEATURES, generator=generator)
    third = NODES // 3
    pairs = [(base + i, base + (i + 1) % (third - 1)) for base in (0, third, 2 * third) for i in range(third - 1)]
    hub = [(base + i, base) for base in (0, third, 2 * third) for i in range(2, third - 1)]
    edge_index = torch.tensor([*pairs, *hub]).t().contiguous()
    return (x, edge_index) if kind == "node" else (x, edge_index, torch.arange(3).repeat_interleave(third))


def classes(kind: str) -> Tensor:
    return torch.arange(NODES) % CLASSES if kind == "node" else torch.arange(3)


def build(arch: str, method: str, kind: Any, profile: Any = "paper", bits: Any = 4) -> nn.Module:
    """An untrained quantized network, two layers, the same first weights for every method."""
    torch.manual_seed(0)
    model = archs.make(arch, FEATURES, CLASSES, kind, SMALL)
    chosen = make(method)
    if kind == "node":
        x, edge_index = batch(kind)
        chosen.scene.show(x.size(0), edge_index)
    return quantize(model, chosen, bits, profile)


def all_protected(in_degree: Tensor, group: Tensor | None) -> Tensor:
    return torch.ones(len(in_degree)) * 2


def protect_everything(model: nn.Module) -> nn.Module:
    model.guard.protection = Protection(all_protected)
    return model


def steps(model: nn.Module, kind: str, number: int = STEPS) -> nn.Module:
    """A few steps of Adam on the whole batch."""
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    inputs, y = batch(kind), classes(kind)
    model.train()
    torch.manual_seed(1)
    for _ in range(number):
        adam.zero_grad()
        F.cross_entropy(model(*inputs), y).backward()
        adam.step()
    return model


def calibrate(model: nn.Module, method: Method, kind: str) -> None:
    """One pass in which quantizers take their ranges, and what the method makes of them."""
    set_state(model.eval(), "observe")
    with torch.no_grad():
        model(*batch(kind))
    method.calibrated(model)


def trained(arch: str, method: str, kind: str, profile: str) -> nn.Module:
    """Three steps, calibrated before or after them where the method asks for it; in evaluation; the caller's own."""
    return deepcopy(_trained(arch, method, kind, profile))


@cache
def _trained(arch: str, method: str, kind: str, profile: str) -> nn.Module:
    return ended(build(arch, method, kind, profile), make(method), kind)


def ended(model: nn.Module, method: Method, kind: str) -> nn.Module:
    """As a run ends: quantizers in the state of a last epoch while it trains, on when it is over."""
    if method.prepares:
        calibrate(model, method, kind)
    set_state(model, method.state_at(STEPS, STEPS))
    steps(model, kind).eval()
    if method.calibrates:
        calibrate(model, method, kind)
    set_state(model, "on")
    return model


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by the name they have in the float network; what quantizers hold is none of them."""
    own = {id(p) for q in quantizers(model) for p in (*q.parameters(), *q.buffers())}
    return {
        name.replace("parametrizations.", "").replace(".original", ""): p
        for name, p in (*model.named_parameters(), *model.named_buffers()) if id(p) not in own
    }  # fmt: skip


def combinations() -> Iterator[tuple[str, str, str, str]]:
    """(arch, method, kind, profile): every method on every architecture, options where sites differ most."""
    for arch in ARCHS.names():
        for method in VARIANTS if arch in TELLING else METHODS.names():
            for kind in ("node", "graph"):
                for profile in ("paper", "integer"):
                    yield arch, method, kind, profile


def search(model: nn.Module, method: Method, steps: int, kind: str) -> nn.Module:
    """The model after some steps in which it learns its bits, under the method's penalty."""
    set_state(model, "search")
    adam = torch.optim.Adam(method.parameter_groups(model, 0.01, 0.0))
    for _ in range(steps):
        adam.zero_grad()
        loss = F.cross_entropy(model(*batch(kind)), classes(kind))
        penalty = method.penalty(model)
        assert penalty is not None
        (loss + penalty).backward()
        adam.step()
    return model
