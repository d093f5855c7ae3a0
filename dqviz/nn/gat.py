"""GAT (Velickovic et al., ICLR 2018): neighbours weighted by attention that sums to 1. Values stay O(1)."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch_geometric.nn import GATConv

from dqviz.nn.stack import Kind, Stack, StackSettings, build, widths_of
from dqviz.registry import Entry


class GatSettings(StackSettings):
    """GAT's own settings; `hidden` counts the channels of one head."""

    hidden: int = Field(default=8, ge=1, le=4096, description="Channels of one head.")
    heads: int = Field(default=8, ge=1, le=64, description="Attention heads (the last layer of a node task has one).")


def gat(num_features: int, num_classes: int, kind: Kind, settings: GatSettings) -> Stack:
    """Heads are concatenated, except in the last layer of a node task, which has one head."""

    def conv(in_channels: int, out_channels: int, last: bool) -> GATConv:
        if last and kind == "node":
            return GATConv(in_channels, out_channels, heads=1, dropout=settings.dropout)
        return GATConv(in_channels, out_channels // settings.heads, heads=settings.heads, dropout=settings.dropout)

    widths = widths_of(num_features, settings.hidden * settings.heads, settings.layers, num_classes, kind)
    return build(conv, widths, num_classes, kind, F.elu, settings.dropout)


ENTRY: Entry[Stack] = Entry("gat", "Graph attention: neighbours weighted by a learned softmax.", gat, GatSettings,
                            cites=("velickovic2018",), facts={"label": "GAT"})  # fmt: skip
