"""GIN (Xu et al., ICLR 2019): a plain sum of neighbours, then an MLP. Values grow as O(n) with in-degree."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import nn
from torch_geometric.nn import GINConv

from dqviz.nn.neighbours import NeighbourSum
from dqviz.nn.stack import Kind, Stack, StackSettings, build, widths_of
from dqviz.registry import Entry


class GinSettings(StackSettings):
    """GIN's own settings."""

    train_eps: bool = Field(default=False, description="Learn the weight (1 + eps) of a node's own row.")
    batch_norm: bool = Field(default=False, description="Batch normalisation inside each MLP.")
    benchmark: bool = Field(
        default=False,
        description="Graph tasks: the GIN of torch_geometric's benchmark, as Degree-Quant trains it. Each MLP ends "
        "in ReLU and batch normalisation, the classifier has a hidden layer and the only dropout.",
    )


def mlp(in_channels: int, out_channels: int, hidden: int, batch_norm: bool) -> nn.Sequential:
    """Linear, (batch norm,) ReLU, Linear."""
    norm = [nn.BatchNorm1d(hidden)] if batch_norm else []
    return nn.Sequential(nn.Linear(in_channels, hidden), *norm, nn.ReLU(), nn.Linear(hidden, out_channels))


def gin(num_features: int, num_classes: int, kind: Kind, settings: GinSettings) -> Stack:
    widths = widths_of(num_features, settings.hidden, settings.layers, num_classes, kind)
    benchmark = settings.benchmark and kind == "graph"

    def conv(in_channels: int, out_channels: int, _last: bool) -> GINConv:
        inner = mlp(in_channels, out_channels, settings.hidden, settings.batch_norm and not benchmark)
        if benchmark:
            inner.extend([nn.ReLU(), nn.BatchNorm1d(out_channels)])
        return GINConv(inner, train_eps=settings.train_eps, aggr=NeighbourSum())

    activation = nn.Identity() if benchmark else F.relu
    return build(conv, widths, num_classes, kind, activation, settings.dropout, gathers=True, deep_head=benchmark)


ENTRY: Entry[Stack] = Entry("gin", "Graph isomorphism network: sum of neighbours, then an MLP.", gin, GinSettings,
                            cites=("xu2019",), facts={"label": "GIN"})  # fmt: skip
