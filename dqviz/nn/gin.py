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
    head_only: bool = Field(
        default=False, description="Graph tasks: dropout before the classifier and nowhere else, as Degree-Quant does."
    )


def mlp(in_channels: int, out_channels: int, hidden: int, batch_norm: bool) -> nn.Sequential:
    """Linear, (batch norm,) ReLU, Linear."""
    norm = [nn.BatchNorm1d(hidden)] if batch_norm else []
    return nn.Sequential(nn.Linear(in_channels, hidden), *norm, nn.ReLU(), nn.Linear(hidden, out_channels))


def gin(num_features: int, num_classes: int, kind: Kind, settings: GinSettings) -> Stack:
    widths = widths_of(num_features, settings.hidden, settings.layers, num_classes, kind)
    return build(
        lambda a, b, _: GINConv(mlp(a, b, settings.hidden, settings.batch_norm), train_eps=settings.train_eps,
                               aggr=NeighbourSum()),
        widths, num_classes, kind, F.relu, settings.dropout, gathers=True,
        head_only=settings.head_only and kind == "graph",
    )  # fmt: skip


ENTRY: Entry[Stack] = Entry("gin", "Graph isomorphism network: sum of neighbours, then an MLP.", gin, GinSettings,
                            cites=("xu2019",), facts={"label": "GIN"})  # fmt: skip
