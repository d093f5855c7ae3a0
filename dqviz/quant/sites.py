"""Sites: where values are quantized in a message-passing layer, hooked into STOCK torch_geometric layers.

Hooks are bound methods of a registered submodule, so that a deep copy of the model owns its own sites.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch_geometric.nn import GATConv, GCNConv, GINConv, MessagePassing, SAGEConv

from dqviz.quant import gathered
from dqviz.quant.guard import Shield
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import Site, Where

Profile = Literal["paper", "integer"]


MakeQuantizer = Callable[[Where], Quantizer]


class Sites(nn.Module):
    """Quantizers of one message-passing layer. Subclasses say which sites their layer has and hook them."""

    aggregate: Quantizer
    update: Quantizer
    paper: frozenset[Site]  # sites quantized in profile `paper`
    integer: frozenset[Site]  # sites quantized in profile `integer`

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__()
        self.profile: Profile = profile
        self.shield = shield
        self.edges: Tensor | None = None
        self.target: Tensor | None = None
        self.sender: Tensor | None = None
        self.aggregate = make(Where(layer, "", Site.AGGREGATE))
        self.update = make(Where(layer, "", Site.UPDATE))

    def attach(self, conv: MessagePassing) -> None:
        """Hooks this layer. The layer must get a dense edge_index, or message hooks would not fire."""
        conv.register_propagate_forward_pre_hook(self.on_propagate)
        conv.register_aggregate_forward_hook(self.on_aggregate)
        conv.register_forward_hook(self.on_output)

    def on_propagate(self, conv: nn.Module, inputs: Any) -> Any:
        edge_index, size, kwargs = inputs
        self.remember(edge_index)
        return edge_index, size, self.propagated(kwargs)

    def remember(self, edge_index: Tensor) -> None:
        """Keeps the ends of each edge for the masks and the recorder."""
        if edge_index.layout != torch.strided:
            raise TypeError("dqviz quantizes layers that get edge_index as a dense [2, num_edges] tensor.")
        self.edges = edge_index
        self.sender, self.target = edge_index[0], edge_index[1]

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments of propagate with quantized values in them."""
        return kwargs

    def on_aggregate(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return self.aggregate(out, self.shield.rows)  # type: ignore[no-any-return]

    def on_output(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return self.update(out, self.shield.rows)  # type: ignore[no-any-return]

    def protected_edges(self) -> Tensor | None:
        """[num_edges] bool: an edge is protected when its sender is."""
        rows = self.shield.rows
        return None if rows is None or self.sender is None else rows.index_select(0, self.sender)


class EdgeSites(Sites):
    """Layers whose message is an edge coefficient times the source row (GCN, GAT): MESSAGE is an edge's."""

    message: Quantizer
    norm: Quantizer

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.norm = make(Where(layer, "", Site.NORM, edges=True))
        self.message = make(Where(layer, "", Site.MESSAGE, edges=True))

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        conv.register_message_forward_hook(self.on_message)

    def on_message(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return self.message(out, self.protected_edges(), self.target)  # type: ignore[no-any-return]


class WeightedSites(EdgeSites):
    """GCN: the coefficient is the symmetric normalisation, known before the messages."""

    paper = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.NORM, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE})
    integer = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.NORM})

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        self.norm.edges = self.edges
        return {**kwargs, "edge_weight": self.norm(kwargs["edge_weight"])}


class AttentionSites(EdgeSites):
    """GAT: the vector a, the logits before LeakyReLU and softmax; the softmax itself stays in float."""

    paper = WeightedSites.paper - {Site.NORM} | {Site.ATTENTION, Site.ALPHA}
    integer = WeightedSites.integer | {Site.ATTENTION, Site.ALPHA}

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.alpha = make(Where(layer, "", Site.ALPHA, edges=True))
        self.make = make
        self.layer = layer

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        conv.register_edge_update_forward_pre_hook(self.on_logits)
        conv.register_edge_update_forward_hook(self.on_attention)
        for part, name in (("source", "att_src"), ("target", "att_dst")):
            # unsafe: no trial run, in which the quantizer would observe weights that were never trained.
            quantizer = self.make(Where(self.layer, part, Site.ATTENTION))
            parametrize.register_parametrization(conv, name, quantizer, unsafe=True)
        del self.make

    def on_logits(self, conv: nn.Module, inputs: Any) -> Any:
        """Paper: the logit of each edge. Integer: its two halves in one scale, so that their codes add as integers."""
        edge_index, size, kwargs = inputs
        self.remember(edge_index)
        source, target = kwargs["alpha_j"], kwargs["alpha_i"]
        rows = self.protected_edges()
        if self.profile == "paper":
            logits = {"alpha_j": self.alpha(source + target, rows, self.target), "alpha_i": None}
        else:
            rows = None if rows is None else rows.repeat(2)
            halves = self.alpha(torch.cat([source, target]), rows, edge_index[1].repeat(2)).chunk(2)
            logits = dict(zip(("alpha_j", "alpha_i"), halves, strict=True))
        return edge_index, size, {**kwargs, **logits}

    def on_attention(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return self.norm(out)  # type: ignore[no-any-return]


class GatherSites(Sites):
    """GIN, SAGE: the message is the source row, so quantizing nodes once equals quantizing every edge.

    Profile `paper` quantizes what is sent; profile `integer` quantizes what enters the layer, so that the layer's own
    row (GIN's (1 + eps) x, SAGE's root term) uses the same codes.
    """

    message: Quantizer
    paper = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE})
    integer = frozenset({Site.INPUT, Site.WEIGHT, Site.MESSAGE})

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.message = make(Where(layer, "", Site.MESSAGE))

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        if self.profile == "integer":
            conv.register_forward_pre_hook(self.on_input)

    def on_input(self, conv: nn.Module, inputs: Any) -> Any:
        return (self.message(inputs[0], self.shield.rows), *inputs[1:])

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.profile == "integer":
            return kwargs
        source, target = kwargs["x"]
        return {**kwargs, "x": (self.message(source, self.shield.rows), target)}


class SumSites(GatherSites):
    """GIN: CSR rows are summed as CSR (`dqviz.quant.gathered`), its own row included; dense rows as GINConv does it."""

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.own: Tensor | None = None
        self.sent: Tensor | None = None

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        conv.takes_csr = True
        conv.register_forward_pre_hook(self.on_rows)

    def on_rows(self, conv: nn.Module, inputs: Any) -> Any:
        """CSR: the layer is told of no own row; it is added to the sum, which the layer does not see before either."""
        self.own = self.sent = None
        x, *rest = inputs
        if x.layout != torch.sparse_csr:
            return None
        self.own = x
        return ((x, None), *rest)

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.own is None:
            return super().propagated(kwargs)
        self.sent = self.own if self.profile == "integer" else self.message(self.own, self.shield.rows)
        return {**kwargs, "x": (torch.zeros(self.own.size(0), 1), None)}  # the layer's own sum is replaced

    def on_aggregate(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        if self.sent is None or self.own is None or self.edges is None:
            return super().on_aggregate(conv, inputs, out)
        total, found = gathered.neighbour_sum(self.sent, self.edges)
        own, factor = self.own, torch.as_tensor(1 + conv.eps)  # type: ignore[operator]  # a parameter or a buffer
        self.own = self.sent = None
        return gathered.add_own(self.aggregate(total, self.shield.rows), found, own, factor)


SITES: dict[type[MessagePassing], type[Sites]] = {
    GCNConv: WeightedSites,
    GATConv: AttentionSites,
    GINConv: SumSites,
    SAGEConv: GatherSites,
}
"""Which sites a stock layer has. One more kind of layer is one more line here (and a class where it differs)."""
