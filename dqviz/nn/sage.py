"""GraphSAGE (Hamilton et al., NeurIPS 2017): the plain mean of neighbours and a root term, a product each."""

from __future__ import annotations

import torch.nn.functional as F
from torch_geometric.nn import SAGEConv

from dqviz.nn.stack import Kind, Stack, StackSettings, build, widths_of
from dqviz.registry import Entry


def sage(num_features: int, num_classes: int, kind: Kind, settings: StackSettings) -> Stack:
    widths = widths_of(num_features, settings.hidden, settings.layers, num_classes, kind)
    return build(lambda a, b, _: SAGEConv(a, b), widths, num_classes, kind, F.relu, settings.dropout,
                 gathers=True)  # fmt: skip


ENTRY: Entry[Stack] = Entry("sage", "GraphSAGE: mean of neighbours plus a root term.", sage, StackSettings,
                            cites=("hamilton2017",), facts={"label": "SAGE"})  # fmt: skip
