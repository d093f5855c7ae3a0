"""What every method keeps on every architecture, node and graph tasks, both site profiles."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from methods_examples import (
    SMALL,
    batch,
    build,
    classes,
    combinations,
    make,
    only_nodes,
    protect_everything,
    steps,
    trained,
    weights,
)
from torch import Tensor, nn

from dqviz import nn as archs
from dqviz.methods import METHODS
from dqviz.naming import method_label
from dqviz.quant import Quantizer, Site, quantizers, twin
from dqviz.quant.codebook import WIDTH, Codebook, branches, joined
from dqviz.quant.convert import set_state
from dqviz.registry import Entry, Registry

BIBLIOGRAPHY = Path(__file__).resolve().parents[2] / "assets" / "references.bib"
every = pytest.mark.parametrize(("arch", "method", "kind", "profile"), list(combinations()))


def logits(model: nn.Module, kind: str) -> Tensor:
    with torch.no_grad():
        return model(*batch(kind))


def plain(arch: str, kind: str) -> nn.Module:
    """The stock network that never met a quantizer."""
    torch.manual_seed(0)
    return archs.make(arch, 5, 3, kind, SMALL)


def record(model: nn.Module, kind: str) -> list[tuple[Quantizer, Tensor, Tensor]]:
    seen: list[tuple[Quantizer, Tensor, Tensor]] = []
    for quantizer in quantizers(model):
        quantizer.recorder = lambda q, x, out, node: seen.append((q, x, out))
    logits(model, kind)
    for quantizer in quantizers(model):
        quantizer.recorder = None
    return seen


@every
def test_everything_protected_is_full_precision(arch: str, method: str, kind: str, profile: str) -> None:
    """To the bit, weights after three steps included."""
    protected = protect_everything(build(arch, method, kind, profile, bits=only_nodes(kind, arch)))
    reference = plain(arch, kind)
    assert torch.equal(protected.train()(*batch(kind)), reference(*batch(kind)))
    found, expected = weights(steps(protected, kind)), weights(steps(reference, kind))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@every
def test_quantizers_off_is_full_precision(arch: str, method: str, kind: str, profile: str) -> None:
    model = trained(arch, method, kind, profile)
    reference = plain(arch, kind).eval()
    reference.load_state_dict(weights(model), strict=False)
    with twin(model):
        assert torch.equal(logits(model, kind), logits(reference, kind))
    differs = not torch.equal(logits(model, kind), logits(reference, kind))
    assert differs == (method != "fp32")


@every
def test_values_lie_on_their_grid_or_are_codewords(arch: str, method: str, kind: str, profile: str) -> None:
    seen = record(trained(arch, method, kind, profile), kind)
    quantized = [(q, x, out) for q, x, out in seen if not q.qtype.is_float]
    assert bool(quantized) == (method != "fp32")
    for quantizer, x, out in quantized:
        grid = quantizer.grid(x)
        if grid is None:
            assert rows_are_codewords(quantizer, out), quantizer.key
            continue
        out = out.reshape(out.size(0), -1)  # as grids of rows, [rows, 1], are laid out
        step = grid.step.double()
        codes = (out.double() / step).round() + grid.zero
        assert torch.equal(((codes - grid.zero) * step).float(), out), quantizer.key
        assert ((grid.low <= codes) & (codes <= grid.high)).all(), quantizer.key
        assert quantizer.mean_bits(x) == grid.bits.mean(), quantizer.key
        own = quantizer.own_rows or quantizer.own_columns
        assert own or grid.is_one or quantizer.where.site is Site.NORM, quantizer.key


def rows_are_codewords(quantizer: Quantizer, out: Tensor) -> bool:
    """Every 4 channels of a site without a grid are those of a codeword of their branch."""
    assert isinstance(quantizer, Codebook)
    same = branches(out.flatten(1))[:, :, None] == branches_of(quantizer)[:, None]
    return bool(same.all(3).any(2).all())


def branches_of(book: Codebook) -> Tensor:
    """Feature halves of the codewords as they are sent [branches, M, 4]; channels that fill up a branch are 0."""
    real = joined(book.codewords[..., :WIDTH] * book.scale[..., :WIDTH] + book.mean[:, None, :WIDTH], book.channels)
    return branches(real)


@every
def test_gradients_reach_every_weight(arch: str, method: str, kind: str, profile: str) -> None:
    model = trained(arch, method, kind, profile).train()
    set_state(model, "search")  # bits that a site chooses learn too; to all others it is "on"
    model.zero_grad()
    torch.manual_seed(0)
    for _ in range(4 if method.startswith("nqat") else 1):  # chance may leave all of a small weight unquantized
        loss = F.cross_entropy(model(*batch(kind)), classes(kind))
        penalty = make(method).penalty(model)
        (loss if penalty is None else loss + penalty).backward()
    clipped = {id(getattr(q, name)) for q in quantizers(model) for name in q.only_clipped}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or id(parameter) in clipped, name


@every
def test_evaluation_is_deterministic_and_protects_nothing(arch: str, method: str, kind: str, profile: str) -> None:
    model = trained(arch, method, kind, profile)
    model.dropout = 0.5
    before = [q.observer.range() for q in quantizers(model)]
    first = logits(protect_everything(model), kind)
    assert torch.equal(logits(model, kind), first)
    assert all(shield.rows is None for shield in model.guard.shields)
    assert [q.observer.range() for q in quantizers(model)] == before


@every
def test_a_saved_state_gives_the_same_network(arch: str, method: str, kind: str, profile: str) -> None:
    model = trained(arch, method, kind, profile)
    other = build(arch, method, kind, profile)
    other.load_state_dict(model.state_dict())
    assert torch.equal(logits(other.eval(), kind), logits(model, kind))


@pytest.mark.parametrize("name", METHODS.names())
def test_settings_round_trip_through_json(name: str) -> None:
    settings = METHODS.settings(name, {})
    text = json.dumps(settings.model_dump(mode="json"), allow_nan=False)
    assert METHODS.settings(name, json.loads(text)) == settings
    schema = json.loads(json.dumps(METHODS[name].settings.schema_of()))
    assert (
        all(entry.get("description") for entry in schema["properties"].values()) if schema.get("properties") else True
    )


def test_no_setting_is_named_in_a_method_and_in_an_architecture() -> None:
    """Labels of runs show both without saying which is whose."""
    ours, theirs = ({name for entry in registry for name in entry.settings.model_fields} for registry in (
        METHODS, archs.ARCHS))  # fmt: skip
    assert not ours & theirs


@pytest.mark.parametrize("entry", list(METHODS))
def test_charts_and_the_form_call_a_method_alike(entry: Entry[Any]) -> None:
    assert method_label(entry.name) in (entry.facts["label"], entry.name), (
        "one that charts do not know is shown as named"
    )


@pytest.mark.parametrize(("registry", "entry"), [(r, e) for r in (METHODS, archs.ARCHS) for e in r])
def test_an_entry_says_what_it_is_and_where_it_comes_from(registry: Registry[Any], entry: Entry[Any]) -> None:
    assert entry.summary.endswith(".")
    assert len(entry.summary) < 120
    assert entry.cites
    assert entry.facts["label"]
    if BIBLIOGRAPHY.exists():
        known = set(re.findall(r"^@\w+\{([^,]+),", BIBLIOGRAPHY.read_text(), re.MULTILINE))
        assert set(entry.cites) <= known


def test_states_are_what_the_contract_trains() -> None:
    """The reference of the tests above is honest: quantizers on do change a network's values."""
    model = build("gcn", "qat", "node", bits=2)
    on = model(*batch("node"))
    set_state(model, "off")
    assert not torch.equal(model(*batch("node")), on)
