"""From one stock layer with quantizers to integer operations. One more kind of layer is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.utils import parametrize
from torch_geometric.nn import GATConv, GCNConv, GINConv, MessagePassing, SAGEConv

from dqviz.errors import Unavailable
from dqviz.integer.codes import Grid
from dqviz.integer.lower.base import Activation, Affine, End, Lowered, product
from dqviz.integer.lower.gat import lower_gat
from dqviz.integer.lower.gcn import folds, lower_gcn
from dqviz.integer.lower.gin import lower_gin
from dqviz.integer.lower.sage import lower_sage

__all__ = ["KINDS", "Activation", "Affine", "End", "Kind", "Lowered", "kind_of", "product"]

Lower = Callable[[Any, str, Grid, End], Lowered]


@dataclass(frozen=True)
class Kind:
    """How one kind of layer is lowered: the short name in timing tables, and the quantizer at its door.

    `summable`: whether its sums are integers of one scale a channel, which a pool can add as they are. `scales`: rows
    of what enters may have steps of their own, its product's epilogue has a factor for them. `sums`: rows are summed
    first, so that columns of what enters may have steps of their own, and rows where all have the same.
    """

    arch: str
    door: Callable[[Any], Any]
    lower: Lower
    summable: Callable[[Any], bool] = lambda _: True
    scales: bool = False
    sums: bool = False


KINDS: dict[type[MessagePassing], Kind] = {
    GCNConv: Kind("gcn", lambda conv: conv.lin.input_q, lower_gcn, lambda conv: not folds(conv), scales=True),
    GINConv: Kind("gin", lambda conv: conv.sites.message, lower_gin, sums=True),
    SAGEConv: Kind("sage", lambda conv: conv.sites.message, lower_sage, lambda _: False),
    GATConv: Kind("gat", lambda conv: conv.lin.input_q, lower_gat),
}


def kind_of(conv: nn.Module) -> Kind:
    """Raises Unavailable for a layer that has no integer form yet."""
    stock = parametrize.type_before_parametrizations(conv)
    found = KINDS.get(stock)
    if found is None:
        known = ", ".join(kind.__name__ for kind in KINDS)
        raise Unavailable(f"No integer run of {stock.__name__} yet; there is one of: {known}.")
    return found
