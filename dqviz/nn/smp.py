"""SMP: propagation whose steps may only move as fast as a bound on smoothness allows.

    Hs = (1 - (1 + mu) eta) H + mu eta A^ H + eta H^0          a gradient step on smoothness and closeness to H^0
    G  = Hs - H,    H' = Hs + 2 eta lam A^ G                   the multiplier's part
    s += 2 eta_s lam s;    lam += eta_lam (alpha nnz(A^) - s^2 - tr(G^T L G))

smoothing subject to tr((H^k - H^(k-1))^T L (H^k - H^(k-1))) <= alpha |E|, slack s^2, by a differential multiplier;
L = I - A^. With lam = 0, mu = 9 and eta = 0.1 a step is APPNP's with alpha 0.1. Both sums over neighbours are layers of
their own, so message, sum and update of both streams are quantized. Use it deep and at low bits: what a step changes is
bounded, so its range and error are.

The multiplier of each step follows the graph in training and is kept for evaluation, as the last pass left it: a
trained network is then a fixed function, and its integer run has fixed factors. On batches of graphs that is the last
batch's (alpha nnz and the energy are sums over a batch); it is meant for one graph.

Of an eigenvalue l of A^ a step multiplies H's part by

    f(l) = k + a l + c l (k - 1 + a l),    k = 1 - (1 + mu) eta,  a = mu eta,  c = 2 eta lam      k = 0 by default

and |f(l)| <= 1 for all l in [-1, 1] where -(2 - r) / r <= c <= 1, r = eta + 2 a (`bounds`; by default r = 2 - eta and
c >= -(1 - a) / (1 + a), -0.053). The multiplier is kept there; the authors' is free (`free`). From features left at
0 and 1 come large logits, each step drives lam further below 0, to -5 within 10 steps, and among 32 steps some
amplify H. Cora, QLR INT4, validation accuracy of 4 seeds at 32 steps: free 76.4 and 74.2 %, twice nan; kept 82.0,
80.8, 80.8 and 80.4 %. At 10 steps 80.3 % free, 80.4 % kept, on average.

Source: arXiv 2308.14949 and the authors' code, whose term is A^ G where the paper's is -L G; all sums here are sparse,
the code's are dense.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from dqviz.nn.propagation import Propagation, PropagationSettings, Step
from dqviz.nn.stack import Kind
from dqviz.registry import Entry

START = 1e-3
"""lam and s before the first step."""
RATE = 1e-5
"""eta_s and eta_lam."""
ROUNDING = 1e-12
"""With the authors' mu and eta nothing of H is kept; 1 - (1 + 9) 0.1 is not exactly 0 in binary."""


class SmpSettings(PropagationSettings):
    """SMP's own settings: those of the authors."""

    mu: float = Field(default=9.0, ge=0, le=1000, description="Weight mu of smoothness against closeness to the start.")
    eta: float = Field(default=0.1, gt=0, le=1, description="Step size eta of the propagation.")
    alpha: float = Field(
        default=1e-5, ge=0, le=1000, description="Bound alpha on what a step may change, for each entry of A^."
    )
    free: bool = Field(
        default=False, description="Let the multiplier go anywhere, as the authors do; else where no step amplifies."
    )


class Smp(Propagation):
    """`multiplier` [K]: lam of each step, as the last training pass left it."""

    multiplier: Tensor

    def __init__(self, num_features: int, num_classes: int, settings: SmpSettings) -> None:
        super().__init__(num_features, num_classes, settings, two_sums=True)
        self.mu, self.eta, self.alpha, self.free = settings.mu, settings.eta, settings.alpha, settings.free
        self.register_buffer("multiplier", torch.full((settings.layers,), START))
        self.slack = START

    def step(self, index: int) -> Step:
        kept = 1 - (1 + self.mu) * self.eta
        return Step(
            around=self.mu * self.eta, start=self.eta, kept=0.0 if abs(kept) < ROUNDING else kept,
            change=2 * self.eta * self.multiplier[index].item(),
        )  # fmt: skip

    def changed(self, index: int, change: Tensor, edge_index: Tensor, edge_weight: Tensor) -> None:
        """In training the multiplier of the next step follows: one step of the differential multiplier method."""
        if not self.training or index + 1 == self.depth:
            return
        multiplier = self.multiplier[index].item()
        self.slack = (START if index == 0 else self.slack) * (1 + 2 * RATE * multiplier)
        allowed = self.alpha * edge_weight.numel()
        energy = roughness(change.detach(), edge_index, edge_weight)
        low, high = (-math.inf, math.inf) if self.free else bounds(self.mu, self.eta)
        self.multiplier[index + 1] = min(max(multiplier + RATE * (allowed - self.slack**2 - energy), low), high)


def bounds(mu: float, eta: float) -> tuple[float, float]:
    """Smallest and largest lam with which no step amplifies: those of c over 2 eta.

    f is a parabola in l. f(1) = 1 - eta (1 + c) lies in [-1, 1] for -1 <= c <= 1, and f(-1) = 1 - r + r c for
    1 - 2 / r <= c <= 1. A vertex at |l| <= 1 has height k - a c l^2: at most 1 for -1 <= c < 0, because k + a < 1; at
    least k - a = f(-1) at c = 0 for 0 < c <= 1. With r > 2 the plain step (c = 0) amplifies by itself, and only c >= 0
    is left.
    """
    r = eta + 2 * mu * eta
    lowest = min(max(1 - 2 / r, -1.0), 0.0)
    return lowest / (2 * eta), 1 / (2 * eta)


def roughness(x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> float:
    """tr(x^T L x) of x [num_nodes, channels], L = I - A^: one product a channel and edge, no message is kept."""
    source, target = edge_index
    around = x.new_zeros(x.shape).index_add_(0, target, x.index_select(0, source) * edge_weight[:, None])
    return (x * (x - around)).sum().item()


def smp(num_features: int, num_classes: int, _kind: Kind, settings: SmpSettings) -> Smp:
    return Smp(num_features, num_classes, settings)


ENTRY: Entry[Propagation] = Entry("smp", "Smoothness-aware propagation: a multiplier bounds what a step changes.",
                                  smp, SmpSettings, cites=("wang2023smp",), facts={"label": "SMP"})  # fmt: skip
