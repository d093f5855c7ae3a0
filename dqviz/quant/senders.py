"""The sites of layers whose message is the source row as it is (GIN, SAGE)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from dqviz.quant import gathered
from dqviz.quant.guard import Shield
from dqviz.quant.hooks import MakeQuantizer, Profile, Sites
from dqviz.quant.part import Part
from dqviz.quant.passes import Copies
from dqviz.quant.where import Site, Where


class GatherSites(Sites):
    """SAGE: the message is the source row, so quantizing nodes once gives what quantizing every edge does.

    Ranges are those of the messages: a row counts as often as it is sent, in profile `integer` once more for itself.

    The layer is shown rows without content and no edges, and its mean is replaced by that of `dqviz.quant.gathered`:
    no row of an edge is made, CSR rows stay CSR. With a codebook the layer does it: a zero's codeword need not be 0.
    Profile `paper` quantizes what is sent; profile `integer` quantizes what enters the layer, so that the layer's own
    row (GIN's (1 + eps) x, SAGE's root term) uses the same codes.
    """

    paper = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE, Site.MESSAGE, Site.AGGREGATE, Site.UPDATE})
    integer = frozenset({Site.INPUT, Site.WEIGHT, Site.MESSAGE})

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.message = make(Where(layer, "", Site.MESSAGE))
        self.sent: Tensor | None = None

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        conv.takes_csr = self.book is None
        if self.profile == "integer" and self.book is None:
            conv.register_forward_pre_hook(self.on_input)

    def on_input(self, conv: nn.Module, inputs: Any) -> Any:
        x, edge_index, *rest = inputs
        self.message.copies = Copies(gathered.routes_of(edge_index, x.size(0)).sent.rows + 1)
        return (self.message(x, self.shield.rows), edge_index, *rest)

    def propagated(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        source, target = kwargs["x"]
        self.sent = None
        if self.book is not None:
            return {**kwargs, "x": (self.shown(source), target)}
        if self.profile == "paper" and self.edges is not None:
            self.message.copies = gathered.routes_of(self.edges, source.size(0)).sent
        self.sent = source if self.profile == "integer" else self.message(source, self.shield.rows)
        return {**kwargs, "x": (torch.zeros(source.size(0), 1), None)}

    def on_propagate(self, conv: nn.Module, inputs: Any) -> Any:
        edge_index, size, kwargs = super().on_propagate(conv, inputs)
        return (edge_index if self.sent is None else edge_index[:, :0]), size, kwargs

    def on_aggregate(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        if self.sent is None or self.edges is None:
            return super().on_aggregate(conv, inputs, out)
        sent, self.sent = self.sent, None
        return self.aggregate(self.gather(sent, self.edges), self.shield.rows)  # type: ignore[no-any-return]

    def gather(self, sent: Tensor, edge_index: Tensor) -> Tensor:
        """What nodes make of the rows that are sent to them."""
        return gathered.neighbour_mean(sent, edge_index)

    def sent_channels(self, conv: Any) -> int:
        return int(conv.in_channels)

    def leaving_weights(self, part: Part) -> Tensor:
        """SAGE takes the mean of all that a target receives."""
        return 1 / part.received[part.rows + part.leaving[1]].float()


class SumSites(GatherSites):
    """GIN: the sum, to which the layer adds its own row; to a CSR sum it cannot, so that it is added here.

    So it is of dense rows in training, which takes half the passes. At evaluation the layer does it: a product and a
    sum, each rounded, are what the integer session is compared with.
    """

    mlp = True

    def __init__(self, layer: int, profile: Profile, make: MakeQuantizer, shield: Shield) -> None:
        super().__init__(layer, profile, make, shield)
        self.own: Tensor | None = None

    def attach(self, conv: MessagePassing) -> None:
        super().attach(conv)
        conv.register_forward_pre_hook(self.on_rows)

    def sent_channels(self, conv: Any) -> int:
        return int(next(conv.nn.parameters()).size(1))

    def left_channels(self, conv: Any) -> int:
        """Of the MLP's last product."""
        return int([module.out_channels for module in conv.nn.modules() if hasattr(module, "out_channels")][-1])

    def leaving_weights(self, part: Part) -> Tensor:
        return torch.ones(part.leaving.size(1))

    def gather(self, sent: Tensor, edge_index: Tensor) -> Tensor:
        return gathered.neighbour_sum(sent, edge_index)

    def on_rows(self, conv: nn.Module, inputs: Any) -> Any:
        """The layer is told of no own row where that is added here."""
        x, *rest = inputs
        here = x.layout == torch.sparse_csr or (self.training and self.book is None)
        self.own = x if here else None
        return None if self.own is None else ((x, None), *rest)

    def on_aggregate(self, conv: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        total = super().on_aggregate(conv, inputs, out)
        if self.own is None or self.edges is None:
            return total
        own, self.own = self.own, None
        factor = torch.as_tensor(1 + conv.eps)  # type: ignore[operator]  # a parameter or a buffer
        return gathered.add_own(total, own, self.edges, factor)
