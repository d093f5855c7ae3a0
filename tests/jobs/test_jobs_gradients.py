"""The table of gradient errors: repeatable, without a trace in the network, and in every run's folder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from jobs_runs import spec

from dqviz.jobs import gradients, network
from dqviz.quant import quantizers
from dqviz.runs import artifacts
from dqviz.runs.rows import RunRow
from dqviz.training import train

RESULTS = ["gradient_cosine", "gradient_error", "gradient_norm"]


def trained(method: str, **values: object) -> network.Network:
    wanted = spec("gcn", method, **values)
    net = network.build(wanted)
    train(net.model, net.task, net.method, wanted.optimizer, wanted.epochs)
    return net


def test_the_same_seed_gives_the_same_and_the_network_stays_as_it_was() -> None:
    net = trained("dq", epochs=5)
    before = {name: value.clone() for name, value in net.model.state_dict().items()}
    rules = [quantizer.gradient for quantizer in quantizers(net.model)]
    drawn, generator = net.model.guard.frequency(), torch.get_rng_state()
    first, again = (gradients.gradients(net, 3) for _ in range(2))
    assert first.equals(again)
    assert not first.equals(gradients.gradients(net, 4)), "another seed draws other masks"
    assert all(torch.equal(value, before[name]) for name, value in net.model.state_dict().items())
    assert torch.equal(net.model.guard.frequency(), drawn)
    assert torch.equal(torch.get_rng_state(), generator)
    assert [quantizer.gradient for quantizer in quantizers(net.model)] == rules == ["gc"] * len(rules)
    assert not net.model.training
    assert all(shield.rows is None for shield in net.model.guard.shields)


def test_both_rules_are_the_same_where_the_method_trains_straight_through() -> None:
    table = gradients.gradients(trained("qat"), 0)
    own, straight = (table[table["rule"] == rule][RESULTS].to_numpy() for rule in ("own", "ste"))
    np.testing.assert_array_equal(own, straight)
    assert np.nanmax(table["gradient_error"]) > 0


@pytest.mark.parametrize(
    ("method", "values"),
    [("qat", {"quantizer": "lsq"}), ("qat", {"quantizer": "columns"}), ("qat", {"quantizer": "pow2"}), ("qlr", {}),
     ("a2q", {"sites": "all"})],
)  # fmt: skip
def test_straight_through_is_that_where_a_method_has_a_rule_of_its_own(method: str, values: dict[str, object]) -> None:
    """At 2 bits values are clipped, which those rules tell the weights by a gradient of 0."""
    net = trained(method, bits=2, method_settings=values)
    table = gradients.gradients(net, 0)
    own, straight = (table[table["rule"] == rule][RESULTS].to_numpy() for rule in ("own", "ste"))
    assert not np.array_equal(own, straight)
    assert not any(quantizer.straight for quantizer in quantizers(net.model))


def test_protecting_everything_leaves_only_the_weights_quantized() -> None:
    """At 32 bits for the weights and everything protected, the gradient is the twin's."""
    values = {"bits": {"default": 4, "weight": 32, "norm": 32}, "method_settings": {"p_min": 1.0, "p_max": 1.0}}
    table = gradients.gradients(trained("dq", **values), 0)
    np.testing.assert_allclose(table["gradient_cosine"].dropna(), 1.0, atol=1e-6)
    np.testing.assert_allclose(table["gradient_error"].dropna(), 0.0, atol=1e-5)


def test_finished_runs_hold_it(run: Callable[..., RunRow]) -> None:
    table = artifacts.read_table(run("gcn", "dq").folder, "gradients")
    assert set(table["key"]) == {"0/weight", "1/weight"}
    assert table.groupby(["rule", "key"])["nodes"].sum().tolist() == [34] * 4
    assert table["gradient_cosine"].dropna().between(-1, 1).all()
    assert artifacts.read_table(run("gcn", "fp32").folder, "gradients").empty
