"""GCN (Kipf & Welling, ICLR 2017): the mean of neighbours by symmetric normalisation. Variance grows as O(sqrt n)."""

from __future__ import annotations

import torch.nn.functional as F
from torch_geometric.nn import GCNConv

from dqviz.nn.neighbours import NeighbourSum
from dqviz.nn.stack import Kind, Stack, StackSettings, build, widths_of
from dqviz.registry import Entry


def gcn(num_features: int, num_classes: int, kind: Kind, settings: StackSettings) -> Stack:
    """The normalisation is cached for node tasks: they have one graph."""
    widths = widths_of(num_features, settings.hidden, settings.layers, num_classes, kind)
    cached = kind == "node"
    return build(lambda a, b, _: GCNConv(a, b, cached=cached, aggr=NeighbourSum()), widths, num_classes, kind, F.relu,
                 settings.dropout)  # fmt: skip


ENTRY: Entry[Stack] = Entry("gcn", "Graph convolution: symmetric normalisation, linear layer first.", gcn,
                            StackSettings, cites=("kipf2017",), facts={"label": "GCN"})  # fmt: skip
