"""Steps of nodes, and edge coefficients that absorb them (TopGQ).

    A X = (A diag(S)) (diag(S)^-1 X)

Nodes of equal topology index (`dqviz.quant.topology`) share S, the largest magnitude that calibration met in their
rows; diag(S)^-1 X lies in [-1, 1] and has one affine grid, so node u has the step s_u = S_u s and all share the zero
point z. The sum over neighbours of steps of their own is no integer sum; with the steps folded into the coefficients,
themselves on a grid of step t, it is:

    a^_vu = rint(a_vu s_u / t) t / s_u,    sum_u a^_vu x^_u = t sum_u rint(a_vu s_u / t) (q_u - z)

The range of a_vu s_u is made of the largest coefficient that each group sends and of the steps when they are final, so
that it does not matter in which order batches come. A group that calibration never met takes the parameters of the
group with the nearest index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dqviz.quant.functional import QParams, centred_codes, scale_zero_point
from dqviz.quant.grid import Grid
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import on_rows, row_ends
from dqviz.quant.topology import Topology, nearest


class GroupQuantizer(Quantizer):
    """What the values of each group of rows reach: `known` [groups] ascending indices, `low` and `high` [groups].

    Taken in calibration only; an epoch of training does not move it.
    """

    known: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, qtype: QType, topology: Topology) -> None:
        super().__init__(qtype, RunningMinMax())
        self.topology = topology
        self.node: Tensor | None = None
        self.register_buffer("known", torch.empty(0, dtype=torch.long))
        self.register_buffer("low", torch.empty(0))
        self.register_buffer("high", torch.empty(0))

    def forward(self, x: Tensor, protected: Tensor | None = None, node: Tensor | None = None) -> Tensor:
        self.node = node
        return super().forward(x, protected, node)

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """Widens the range of the groups that these rows belong to."""
        super().observe(x, protected, ptr)
        low, high = row_ends(x, ptr)
        if protected is not None:
            low, high = low.masked_fill(protected.rows, 0), high.masked_fill(protected.rows, 0)
        index = torch.cat([self.known, self.topology.index(low.numel(), self.node)])
        self.known, place = index.unique(return_inverse=True)
        zeros = low.new_zeros(self.known.numel())
        self.low = zeros.scatter_reduce(0, place, torch.cat([self.low, low]), "amin")
        self.high = zeros.scatter_reduce(0, place, torch.cat([self.high, high]), "amax")

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """How many groups there are is known when they have been met."""
        for name in ("known", "low", "high"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args)


class NodeQuantizer(GroupQuantizer):
    """A site at which each group of nodes has its own step."""

    own_rows = True

    def reach(self) -> Tensor:
        """S of each group [groups]; 1 where all its values are 0."""
        largest = torch.maximum(self.high, -self.low).float()
        return torch.where(largest > 0, largest, 1.0)

    def shared(self) -> QParams:
        """Step and zero point of diag(S)^-1 X."""
        reach = self.reach()
        ends = (self.low.float() / reach).min(), (self.high.float() / reach).max()
        return scale_zero_point(*(end.item() for end in ends), self.qtype)

    def steps(self) -> Tensor:
        """s of each group [groups]."""
        return self.reach() * self.shared().scale

    def grid(self, x: Tensor) -> Grid | None:
        met = self.known.numel() > 0 and not self.qtype.is_float
        return self.grid_of_rows(x.size(0)) if met else super().grid(x)

    def grid_of_rows(self, num_rows: int) -> Grid:
        one = Grid.of(self.shared(), self.qtype)
        step = self.steps()[nearest(self.known, self.topology.index(num_rows, self.node))]
        return Grid(step[:, None], one.zero, one.low, one.high, one.bits)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        if not self.known.numel():
            return super().fake_quantized(x, protected, ptr)
        return on_rows(x, self.grid_of_rows(x.size(0) if ptr is None else ptr.numel() - 1), protected, ptr)


class FoldedQuantizer(GroupQuantizer):
    """Edge coefficients that absorb the step of the node they weight; where no sender is named, one step for all.

    `features`: the layer's quantizer of node rows. A mapping, so that it is no part of this module.
    """

    def __init__(self, qtype: QType, topology: Topology, features: Mapping[int, NodeQuantizer]) -> None:
        super().__init__(qtype, topology)
        self.features = features

    @property
    def source(self) -> NodeQuantizer | None:
        """The quantizer of the rows that the coefficients weight, once calibration has met any."""
        found = None if self.where is None else self.features.get(self.where.layer)
        return None if found is None or not found.known.numel() or not self.known.numel() else found

    def folded(self, source: NodeQuantizer) -> QParams:
        """Grid of a_vu s_u."""
        step = source.steps()[nearest(source.known, self.known)]
        low, high = self.low.float() * step, self.high.float() * step
        return scale_zero_point(low.min().item(), high.max().item(), self.qtype)

    def qparams(self) -> QParams:
        source = self.source
        return super().qparams() if source is None else self.folded(source)

    def sent(self, source: NodeQuantizer, num_edges: int) -> Tensor:
        """s_u of the sender of each edge [num_edges]."""
        return source.steps()[nearest(source.known, self.topology.index(num_edges, self.node))]

    def grid(self, x: Tensor) -> Grid | None:
        """Coefficients a^ themselves: the step of an edge is t / s_u."""
        source = self.source
        if source is None or self.node is None or self.qtype.is_float:
            return super().grid(x)
        one = Grid.of(self.folded(source), self.qtype)
        return Grid((one.step / self.sent(source, x.size(0)))[:, None], one.zero, one.low, one.high, one.bits)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        """The codes are those of a_vu s_u, a float32 product, as the integer session makes them; no gradient passes."""
        source = self.source
        if source is None or self.node is None:
            return super().fake_quantized(x, protected, ptr)
        params, sent = self.folded(source), self.sent(source, x.size(0))
        codes = centred_codes(x.detach().float() * sent, params, self.qtype)
        return (codes * (torch.tensor(params.scale) / sent)).to(x.dtype)
