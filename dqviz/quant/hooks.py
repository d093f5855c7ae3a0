"""Sites: where values are quantized in a message-passing layer, hooked into STOCK torch_geometric layers.

What layers of all kinds have in common; the kinds stand in `dqviz.quant.sites`. Hooks are bound methods of a registered
submodule, so that a deep copy of the model owns its own sites.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from dqviz.quant.codebook import Codebook
from dqviz.quant.guard import Shield
from dqviz.quant.part import Part
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import Site, Where

Profile = Literal["paper", "integer"]
MakeQuantizer = Callable[[Where], Quantizer]


class Sites(nn.Module):
    """Quantizers of one message-passing layer. Subclasses say which sites their layer has and hook them.

    A codebook at MESSAGE stands on the rows that nodes send, whatever the layer does to a row on its way along an edge,
    so that a node knows its neighbours by their codewords and itself exactly.
    """

    aggregate: Quantizer
    message: Quantizer
    update: Quantizer
    paper: frozenset[Site]  # sites quantized in profile `paper`
    integer: frozenset[Site]  # sites quantized in profile `integer`
    mlp: ClassVar[bool] = False  # the layer's linear layers are an MLP behind the sum

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__()
        self.profile: Profile = profile
        self.shield = shield
        self.edges: Tensor | None = None
        self.target: Tensor | None = None
        self.sender: Tensor | None = None
        self.rows: Tensor | None = None
        self.aggregate = make(Where(layer, "", Site.AGGREGATE))
        self.update = make(Where(layer, "", Site.UPDATE))

    def attach(self, conv: MessagePassing) -> None:
        """Hooks this layer. The layer must get a dense edge_index, or message hooks would not fire."""
        for quantizer in (self.message, self.aggregate):
            quantizer.fit(self.sent_channels(conv))
        self.update.fit(self.left_channels(conv))
        conv.register_propagate_forward_pre_hook(self.on_propagate)
        conv.register_aggregate_forward_hook(self.on_aggregate)
        conv.register_forward_hook(self.on_output)

    @property
    def book(self) -> Codebook | None:
        """The codebook at MESSAGE, where there is one."""
        return self.message if isinstance(self.message, Codebook) else None

    @property
    def part(self) -> Part | None:
        """The part of a graph that passes through the network, where it is not all of it."""
        return None if self.book is None else self.book.part

    def sent_channels(self, conv: Any) -> int:
        """Channels of a row that is sent."""
        raise NotImplementedError

    def left_channels(self, conv: Any) -> int:
        """Channels of a row that leaves the layer."""
        return int(conv.out_channels)

    def leaving_weights(self, part: Part) -> Tensor:
        """[num_leaving]: what a row that leaves the part is multiplied by on its way into the target's sum."""
        raise NotImplementedError

    def shown(self, x: Tensor) -> Tensor:
        """What neighbours see of rows x: quantized; in a part of a graph x, then the codewords of the nodes outside.

        In evaluation codewords of the rows as well, so that it does not matter where a graph is cut.
        """
        book, part = self.book, self.part
        if book is None:
            return self.message(x, self.shield.rows)  # type: ignore[no-any-return]
        self.rows = x
        if part is None:
            return book(x, self.shield.rows)  # type: ignore[no-any-return]
        if not self.training:
            return book.evaluated(x, part)
        features, gradients = book.outside(part)
        book.give_back(x, self.way_back(x.detach(), features, gradients, part))
        return torch.cat([x, features])

    def way_back(self, x: Tensor, features: Tensor, gradients: Tensor, part: Part) -> Tensor:
        """Gradient [rows, channels] by rows x of what nodes outside get of them; their codewords [others, channels]."""
        sender, target = part.leaving
        return torch.zeros_like(x).index_add_(0, sender, gradients[target] * self.leaving_weights(part)[:, None])

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
        if self.book is not None and self.rows is not None:
            self.book.listen(self.rows, out)
            self.rows = None
        return self.aggregate(out, self.shield.rows)  # type: ignore[no-any-return]

    def on_output(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return self.update(out, self.shield.rows)  # type: ignore[no-any-return]

    def protected_edges(self) -> Tensor | None:
        """[num_edges] bool: an edge is protected when its sender is."""
        rows = self.shield.rows
        return None if rows is None or self.sender is None else rows.index_select(0, self.sender)


class EdgeSites(Sites):
    """Layers whose message is an edge coefficient times the source row (GCN, GAT): MESSAGE is an edge's."""

    norm: Quantizer

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.norm = make(Where(layer, "", Site.NORM, edges=True))
        self.message = make(Where(layer, "", Site.MESSAGE, edges=True))
        self.routes: tuple[Tensor, Tensor] | None = None

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        if self.book is None:
            conv.register_message_forward_hook(self.on_message)

    def on_message(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return self.message(out, self.protected_edges(), self.target)  # type: ignore[no-any-return]

    @property
    def apart(self) -> bool:
        """Whether self-loops take rows and all other edges codewords: always but in a part that is trained on."""
        exact = self.part is not None and self.training
        return self.book is not None and not exact and not self.book.passes(self.shield.rows)

    def table(self, x: Tensor) -> Tensor:
        """Rows that edges take: x, then what neighbours see in its place (of nodes outside a part, in training)."""
        seen = self.shown(x)
        return torch.cat([x, seen]) if self.apart else seen

    def routed(self, edge_index: Tensor, num_nodes: int) -> Tensor:
        """Edges between two nodes take the table's second half. The same edges again cost nothing."""
        if self.routes is None or self.routes[0] is not edge_index:
            source, target = edge_index
            self.routes = edge_index, torch.stack([source + num_nodes * (source != target), target])
        return self.routes[1]
