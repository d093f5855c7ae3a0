"""Propagations: steps by hand, torch_geometric's APPNP, the multiplier, memory that is linear in edges."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.nn import APPNP
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz import nn as archs
from dqviz.nn.propagation import Normalised
from dqviz.nn.smp import RATE, START, roughness

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def make(arch: str, **settings: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return archs.make(arch, 4, 3, "node", {"layers": 3, "hidden": 5, "dropout": 0.0, **settings})


def logits_before(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model.classes(torch.relu(model.hidden(x)))


@pytest.mark.parametrize("teleport", [0.0, 0.1, 1.0])
def test_appnp_is_torch_geometrics(teleport: float) -> None:
    x, model = torch.randn(3, 4), make("appnp", teleport=teleport)
    stock = APPNP(K=3, alpha=teleport)
    torch.testing.assert_close(model(x, PATH), stock(logits_before(model, x), PATH))


def test_smp_by_its_formula() -> None:
    """Dense matrices, step by step, the multiplier beside."""
    x, model = torch.randn(3, 4), make("smp", mu=4.0, eta=0.15, alpha=0.3)
    edges, weight = gcn_norm(PATH, None, 3)
    dense = torch.zeros(3, 3).index_put((edges[1], edges[0]), weight)
    start = rows = logits_before(model, x).detach()
    lam = slack = START
    known = []
    for _ in range(3):
        known.append(lam)
        moved = (1 - 5 * 0.15) * rows + 4 * 0.15 * dense @ rows + 0.15 * start
        change = moved - rows
        rows = moved + 2 * 0.15 * lam * dense @ change
        slack += 2 * RATE * lam * slack
        lam += RATE * (0.3 * weight.numel() - slack**2 - torch.trace(change.T @ (torch.eye(3) - dense) @ change).item())
    torch.testing.assert_close(model.train()(x, PATH), rows)
    torch.testing.assert_close(model.multiplier, torch.tensor(known))


def test_evaluation_keeps_the_multiplier_of_the_last_training_pass() -> None:
    model = make("smp", alpha=1000.0)
    model.train()(torch.randn(3, 4), PATH)
    kept = model.multiplier.clone()
    assert kept[-1] > START
    x = torch.randn(3, 4)
    first = model.eval()(x, PATH)
    model(9 * x, PATH)
    assert torch.equal(model.multiplier, kept)
    assert torch.equal(model(x, PATH), first)


def test_roughness_of_a_smooth_signal_is_zero() -> None:
    """sqrt(degree + 1) is the eigenvector of A^ with eigenvalue 1; two neighbours of opposite sign are rough."""
    edges, weight = gcn_norm(PATH, None, 3)
    assert roughness(torch.tensor([2.0, 3.0, 2.0]).sqrt()[:, None], edges, weight) == pytest.approx(0, abs=1e-6)
    pair, weights = gcn_norm(torch.tensor([[0, 1], [1, 0]]), None, 2)
    assert roughness(torch.tensor([[1.0], [-1.0]]), pair, weights) == pytest.approx(2)


def test_coefficients_are_made_once_for_a_graph() -> None:
    known, x = Normalised(), torch.zeros(3, 2)
    first = known.of(PATH, x)
    assert known.of(PATH, x) is first
    assert known.of(PATH.clone(), x) is not first
    assert known.of(PATH, x.double())[1].dtype == torch.float64


def peak(num_nodes: int) -> int:
    script = Path(__file__).with_name("peak_of_propagation.py")
    environment = os.environ | {"PYTHONPATH": str(script.parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script), str(num_nodes)], env=environment, capture_output=True,
                          text=True, check=True)  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot begin anew here")
def test_memory_is_linear_in_edges() -> None:
    """Twice the graph needs twice the memory; a dense adjacency of 170,000 nodes would be 116 GB."""
    half, whole = peak(85_000), peak(170_000)
    assert whole < 2.5 * half
    assert whole < 2.5e9
