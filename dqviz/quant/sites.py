"""The sites of stock layers: one class for each way in which layers make messages of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch_geometric.nn import APPNP, GATConv, GCNConv, GINConv, MessagePassing, SAGEConv

from dqviz.quant import attention
from dqviz.quant.guard import Shield
from dqviz.quant.hooks import EdgeSites, MakeQuantizer, Profile, Sites
from dqviz.quant.part import Part
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.senders import GatherSites, SumSites
from dqviz.quant.where import Site, Where


class CoefficientSites(EdgeSites):
    """The coefficient is the symmetric normalisation, known before the messages."""

    paper = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.NORM, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE})
    integer = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.NORM})

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        if self.book is not None:
            conv.register_forward_pre_hook(self.on_enter)

    def on_enter(self, conv: Any, inputs: Any) -> Any:
        """A part's coefficients are those of the whole graph."""
        raise NotImplementedError

    def on_propagate(self, conv: nn.Module, inputs: Any) -> Any:
        edge_index, size, kwargs = super().on_propagate(conv, inputs)
        if self.book is None:
            return edge_index, size, kwargs
        x = kwargs["x"]
        edges = self.routed(edge_index, x.size(0)) if self.apart else edge_index
        return edges, size, {**kwargs, "x": (self.table(x), x)}

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        self.norm.edges = self.edges
        return {**kwargs, "edge_weight": self.norm(kwargs["edge_weight"])}

    def sent_channels(self, conv: Any) -> int:
        return int(conv.out_channels)

    def leaving_weights(self, part: Part) -> Tensor:
        sender, target = part.leaving
        return part.symmetric(sender, target + part.rows)


class WeightedSites(CoefficientSites):
    """GCN: the layer makes the coefficients itself."""

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.whole: Any = None

    def on_enter(self, conv: Any, inputs: Any) -> None:
        """What the layer remembers of the whole graph is laid aside."""
        if self.part is not None:
            self.whole, conv._cached_edge_index = conv._cached_edge_index, self.part.normalised

    def on_output(self, conv: Any, inputs: Any, out: Tensor) -> Tensor:
        if self.part is not None:
            self.whole, conv._cached_edge_index = None, self.whole
        return super().on_output(conv, inputs, out)


class PropagationSites(CoefficientSites):
    """A step of propagation: no weight, so the rows that are sent are those that enter.

    In profile `integer` they are codes that another layer has left (UPDATE, or FEATURE of the layer before all steps)
    and keep their grid; where they are a difference they are quantized once for all edges, as FEATURE.
    """

    integer = frozenset({Site.FEATURE, Site.NORM, Site.UPDATE})

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.feature: Quantizer | None = None
        self.make, self.layer = make, layer

    def attach(self, conv: Any) -> None:
        super().attach(conv)
        if self.profile == "integer" and getattr(conv, "changes", True):
            self.feature = self.make(Where(self.layer, "", Site.FEATURE))
            self.feature.fit(self.sent_channels(conv))
        del self.make

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        kwargs = super().propagated(kwargs)
        if self.feature is None or self.book is not None:
            return kwargs
        return {**kwargs, "x": self.feature(kwargs["x"], self.shield.rows)}

    def on_enter(self, conv: Any, inputs: Any) -> Any:
        """The layer is given its coefficients."""
        if self.part is None:
            return None
        x, _, _, *rest = inputs
        return (x, *self.part.normalised, *rest)

    def sent_channels(self, conv: Any) -> int:
        return int(conv.channels)

    def left_channels(self, conv: Any) -> int:
        return int(conv.channels)


class AttentionSites(EdgeSites):
    """GAT: the vector a, the logits before LeakyReLU and softmax; the softmax itself stays in float."""

    paper = CoefficientSites.paper - {Site.NORM} | {Site.ATTENTION, Site.ALPHA}
    integer = CoefficientSites.integer | {Site.ATTENTION, Site.ALPHA}

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.alpha = make(Where(layer, "", Site.ALPHA, edges=True))
        self.make = make
        self.layer = layer
        self.shares = None if self.book is None or not self.book.attention else self.book.another()
        self.pays: tuple[Tensor, Tensor, float] | None = None
        self.mass: Tensor | None = None

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        conv.register_edge_update_forward_pre_hook(self.on_logits)
        conv.register_edge_update_forward_hook(self.on_attention)
        for part, name in (("source", "att_src"), ("target", "att_dst")):
            # unsafe: no trial run, in which the quantizer would observe weights that were never trained.
            quantizer = self.make(Where(self.layer, part, Site.ATTENTION))
            parametrize.register_parametrization(conv, name, quantizer, unsafe=True)
        del self.make
        if self.shares is not None:
            self.shares.fit(int(conv.heads))
        if self.book is not None:
            conv.register_forward_pre_hook(self.on_enter)
            conv.lin.register_forward_hook(self.on_rows)

    def on_enter(self, conv: Any, inputs: Any) -> Any:
        x, edge_index = inputs
        if self.part is not None and self.training:
            self.pays = conv.att_src.detach()[0], conv.att_dst.detach()[0], conv.negative_slope
        return (x, self.routed(edge_index, x.size(0))) if self.apart else None

    def on_rows(self, lin: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        """Logits are made of the rows that edges take: of codewords where neighbours are."""
        return self.table(out)

    def on_aggregate(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        """Codewords are no nodes: what comes after the rows is dropped."""
        if self.rows is None:
            return super().on_aggregate(conv, inputs, out)
        own = out[: len(self.rows)]
        if self.mass is not None and self.shares is not None:
            got = own.detach()
            self.shares.listen(self.mass[: len(self.rows)], own, lambda grad: (grad * got).sum(-1))
            self.mass = None
        return super().on_aggregate(conv, inputs, own)

    def sent_channels(self, conv: Any) -> int:
        return int(conv.heads * conv.out_channels)

    def left_channels(self, conv: Any) -> int:
        return self.sent_channels(conv) if conv.concat else int(conv.out_channels)

    def leaving_weights(self, part: Part) -> Tensor:
        """As if targets attended to all their neighbours and themselves alike."""
        return 1 / (part.degree[part.rows + part.leaving[1]] + 1).float()

    def way_back(self, x: Tensor, features: Tensor, gradients: Tensor, part: Part) -> Tensor:
        """By the attention that nodes outside pay, where their share of codewords tells it."""
        if self.shares is None or self.pays is None:
            return super().way_back(x, features, gradients, part)
        return attention.way_back(x, features, gradients, self.shares.outside(part), part.leaving, *self.pays)

    def on_logits(self, conv: nn.Module, inputs: Any) -> Any:
        """Paper: the logit of each edge. Integer: its two halves in one scale, so that their codes add as integers."""
        edge_index, size, kwargs = inputs
        self.remember(edge_index)
        source, target = kwargs["alpha_j"], kwargs["alpha_i"]
        rows = self.protected_edges()
        if self.part is not None and self.training and self.shares is not None and self.pays is not None:
            self.mass = attention.mass(source.detach() + target.detach(), edge_index[1], self.pays[2])
        if self.profile == "paper":
            logits = {"alpha_j": self.alpha(source + target, rows, self.target), "alpha_i": None}
        else:
            rows = None if rows is None else rows.repeat(2)
            halves = self.alpha(torch.cat([source, target]), rows, edge_index[1].repeat(2)).chunk(2)
            logits = dict(zip(("alpha_j", "alpha_i"), halves, strict=True))
        return edge_index, size, {**kwargs, **logits}

    def on_attention(self, conv: Any, inputs: Any, out: Tensor) -> Tensor:
        """Shares of 1, as evaluation has them: what dropout leaves over is scaled up again behind the quantizer."""
        if self.norm.qtype.is_float or not conv.training or not conv.dropout:
            return self.norm(out)  # type: ignore[no-any-return]
        kept = 1 - conv.dropout
        return self.norm(out * kept) / kept  # type: ignore[no-any-return]


SITES: dict[type[MessagePassing], type[Sites]] = {
    GCNConv: WeightedSites,
    GATConv: AttentionSites,
    GINConv: SumSites,
    SAGEConv: GatherSites,
    APPNP: PropagationSites,
}
"""Which sites a stock layer has. One more kind of layer is one more line here (and a class where it differs)."""


def sites_of(layer: type[MessagePassing]) -> type[Sites] | None:
    """The sites of a stock layer, or of the one that it is made from."""
    return next((SITES[kind] for kind in layer.__mro__ if kind in SITES), None)
