"""Propagations: steps by hand, torch_geometric's APPNP, the multiplier, memory that is linear in edges."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.nn import APPNP
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz import nn as archs
from dqviz.nn.propagation import Normalised
from dqviz.nn.smp import RATE, START, bounds, roughness

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


def kept_of(mu: float, eta: float, lam: float, eigenvalue: torch.Tensor) -> torch.Tensor:
    """What a step multiplies H's part of an eigenvalue by."""
    moved = 1 - (1 + mu) * eta + mu * eta * eigenvalue
    return moved + 2 * eta * lam * eigenvalue * (moved - 1)


@given(st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_no_step_amplifies_within_the_bounds(smooth: float, eta: float, between: float) -> None:
    """For every mu with which a plain step does not, and every eigenvalue that A^ may have."""
    mu = smooth * (1 - eta / 2) / eta
    low, high = bounds(mu, eta)
    lam = low + between * (high - low)
    factors = kept_of(mu, eta, lam, torch.linspace(-1, 1, 401, dtype=torch.float64))
    assert factors.abs().max().item() <= 1 + 1e-9


def test_bounds_of_the_authors_settings_by_hand() -> None:
    """a = 0.9: c from -(1 - a) / (1 + a) = -1/19 to 1, lam = c / 0.2. Beyond them, the eigenvalue -1 is amplified."""
    low, high = bounds(9.0, 0.1)
    assert (low, high) == pytest.approx((-5 / 19, 5))
    last = torch.tensor([-1.0], dtype=torch.float64)
    assert kept_of(9.0, 0.1, low, last).item() == pytest.approx(-1)
    assert kept_of(9.0, 0.1, high, last).item() == pytest.approx(1)
    assert kept_of(9.0, 0.1, 1.01 * low, last).item() < -1
    assert kept_of(9.0, 0.1, 1.01 * high, last).item() > 1
    assert bounds(0.0, 0.5) == (-1, 1), "no smoothing: c from -1 to 1"
    assert bounds(9.0, 1.0)[0] == 0, "the plain step amplifies by itself"


@pytest.mark.parametrize(("alpha", "size", "end"), [(0.0, 1e4, 0), (1000.0, 0.01, 1)])
def test_the_multiplier_stays_within_its_bounds(alpha: float, size: float, end: int) -> None:
    """Rows far larger than what alpha allows drive it down, a roomy alpha up; neither beyond, and rows stay small."""
    model = make("smp", alpha=alpha, layers=64, mu=4.0, eta=0.15).train()
    one_way = torch.randint(0, 40, (2, 100), generator=torch.Generator().manual_seed(0))
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    x = size * torch.randn(40, 4)
    out = model(x, edges)
    low, high = bounds(4.0, 0.15)
    assert model.multiplier[-1].item() == pytest.approx((low, high)[end])
    assert bool(((model.multiplier >= low - 1e-6) & (model.multiplier <= high + 1e-6)).all())
    added = 0.15 * (1 + max(1.0, -low * 0.3))  # of H^0, by a step: eta (1 + c A^)
    assert out.norm() <= (1 + 64 * added) * logits_before(model, x).norm()
    free = make("smp", alpha=alpha, layers=64, mu=4.0, eta=0.15, free=True).train()
    free(x, edges)
    assert not low <= free.multiplier[-1].item() <= high, "the authors' goes on"


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
