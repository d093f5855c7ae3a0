"""Where a quantizer stands: the published kinds of site, and the address of one of them in a network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Site(StrEnum):
    """The published sites (METHODS 1.3)."""

    INPUT = "input"  # rows entering a linear layer
    WEIGHT = "weight"
    FEATURE = "feature"  # x W
    NORM = "norm"  # edge coefficients: symmetric normalisation, or attention after the softmax
    MESSAGE = "message"
    AGGREGATE = "aggregate"
    UPDATE = "update"
    ATTENTION = "attention"  # the vector a of GAT
    ALPHA = "alpha"  # attention logits before LeakyReLU and softmax


NODE_SITES = frozenset({Site.INPUT, Site.FEATURE, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE, Site.ALPHA})
"""Sites whose rows belong to nodes (or edges): the ones a mask can protect and an error by degree exists for."""

PARAMETERS = frozenset({Site.WEIGHT, Site.ATTENTION})
"""Sites whose values are trained parameters: never protected."""

NEVER_NEGATIVE = frozenset({Site.INPUT, Site.NORM})
"""Unsigned codes. Where nothing is negative the zero point is 0, so sparse rows and edge products need no correction;
an input that can be negative (after ELU) is still represented, because the quantizer is affine."""


ENTERED = frozenset({"", "root", "hidden"})
"""Parts of a layer whose linear layer reads the rows that enter the layer, not what another part or a sum made of them:
its only one, SAGE's root term, the first layer of an MLP before propagation."""


@dataclass(frozen=True)
class Where:
    """The address of one quantizer: layer (in order), part of the layer ('' where there is one), kind of site.

    `edges`: its rows are those of edges, not of nodes.
    """

    layer: int
    part: str
    site: Site
    edges: bool = False

    @property
    def of_data_set(self) -> bool:
        """Whether the data set's own rows come here: products and sums over neighbours of the first layer read them."""
        if self.layer > 0 or self.edges:
            return False
        return self.site is Site.MESSAGE or (self.site is Site.INPUT and self.part in ENTERED)

    @property
    def key(self) -> str:
        return "/".join(p for p in (str(self.layer), self.part, self.site) if p)
