"""TopGQ-style post-training quantization: steps of nodes, shared where neighbourhoods look alike; no gradient.

    A X = (A diag(S)) (diag(S)^-1 X),    nodes of equal topology index share S

The network is trained at full precision; one pass over the training data then finds what each group of nodes reaches
(`dqviz.quant.folded`). Rows of nodes have steps of their own at FEATURE, MESSAGE, AGGREGATE, UPDATE and at the first
layer's INPUT. Further INPUTs, weights and attention are quantized as in `ptq`. Use it where nothing may be
retrained and in-degree is skewed: it takes milliseconds. Groups of a single node fit it exactly, so on one graph that
is seen whole it can look better than it will on new nodes.

In integers: GCN, exactly. The first INPUT's steps are a factor of the product's rows. FEATURE's go into the codes of
NORM (A diag(S) is quantized, not A), so that a sum over neighbours is an integer sum with one step for its node.
Further INPUTs have one step, because the bias of the layer before would have to be divided by each node's. GAT's
coefficients come out of a softmax at run time, and GIN's and SAGE's sums have none, so there is nothing that could
absorb a step: their integer run says so.

What differs from the paper, of which an abstract and tables could be read: all groups of a site share the zero point
(codes then need no correction by node), "localized" is one step, the range is min/max, weights have one step a tensor.
Source: TopGQ (openreview.net/forum?id=6tvW2OuGNc).
"""

from __future__ import annotations

from typing import ClassVar

from dqviz.methods.base import Method, RangeSettings
from dqviz.methods.ptq import Ptq, PtqSettings
from dqviz.quant.folded import FoldedQuantizer, NodeQuantizer
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.topology import Topology
from dqviz.quant.where import Site, Where
from dqviz.registry import Entry


class TopGq(Ptq):
    """PTQ whose rows of nodes have steps by topology index, folded into GCN's coefficients."""

    node_wise: ClassVar[frozenset[Site]] = frozenset({Site.FEATURE, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE})

    def __init__(self, settings: RangeSettings) -> None:
        super().__init__(settings)
        self.topology = Topology(self.scene)
        self.features: dict[int, NodeQuantizer] = {}

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        plain = super().quantizer(where, bits)
        if where.site is Site.NORM:
            return FoldedQuantizer(plain.qtype, plain.observer, self.topology, self.features)
        own = where.site in self.node_wise or (where.site is Site.INPUT and where.layer == 0)
        if plain.qtype.is_float or not own:
            return plain
        found = NodeQuantizer(plain.qtype, self.topology)
        if where.site is Site.FEATURE:
            self.features[where.layer] = found
        return found


ENTRY: Entry[Method] = Entry("topgq", "Post-training quantization with node steps by topology, folded into the edges.",
                             TopGq, PtqSettings, cites=("topgq2025", "jacob2018"),
                             facts={"label": "TopGQ", "quantized": True})  # fmt: skip
