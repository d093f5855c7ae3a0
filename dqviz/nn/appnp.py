"""APPNP (Gasteiger et al., ICLR 2019): an MLP, then K steps of personalised PageRank on its logits.

    H^k = (1 - alpha) A^ H^(k-1) + alpha H^0

Use it where neighbours far away matter: depth costs no parameters, and every step goes back to the node's own logits,
so it collapses less with depth than GCN. The plain counterpart of `smp`, which adds a bound on what a step may change.
Source: arXiv 1810.05997, eq. 4.
"""

from __future__ import annotations

from pydantic import Field

from dqviz.nn.propagation import Propagation, PropagationSettings, Step
from dqviz.nn.stack import Kind
from dqviz.registry import Entry


class AppnpSettings(PropagationSettings):
    """APPNP's own setting."""

    teleport: float = Field(default=0.1, ge=0, le=1, description="Share alpha of a node's own logits in every step.")


class Appnp(Propagation):
    """Each step is one layer."""

    def __init__(self, num_features: int, num_classes: int, settings: AppnpSettings) -> None:
        super().__init__(num_features, num_classes, settings)
        self.teleport = settings.teleport

    def step(self, index: int) -> Step:
        return Step(around=1 - self.teleport, start=self.teleport)


def appnp(num_features: int, num_classes: int, _kind: Kind, settings: AppnpSettings) -> Appnp:
    return Appnp(num_features, num_classes, settings)


ENTRY: Entry[Propagation] = Entry("appnp", "Predict, then propagate: K steps of personalised PageRank on logits.",
                                  appnp, AppnpSettings, cites=("gasteiger2019",), facts={"label": "APPNP"})  # fmt: skip
