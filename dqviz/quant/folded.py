"""Steps of nodes, and edge coefficients that absorb them (TopGQ).

    A X = (A diag(S)) (diag(S)^-1 X)

Nodes of equal topology index (`dqviz.quant.topology`) share S, the largest magnitude that calibration met in their
rows; diag(S)^-1 X lies in [-1, 1] and has one affine grid, so node u has the step s_u = S_u s and all share the zero
point z. The sum over neighbours of steps of their own is no integer sum; with the steps folded into the coefficients it
is. These have a step t_v for each target, the largest of a_vu s_u over its edges in 2^b - 1 parts (one for all targets
would round most coefficients to 0 at 4 bits, because the steps differ):

    a^_vu = rint(a_vu s_u / t_v) t_v / s_u,    sum_u a^_vu x^_u = t_v sum_u rint(a_vu s_u / t_v) (q_u - z)

t_v is made of the graph, its coefficients and the steps, so it needs no calibration. A group that calibration never
met takes the parameters of the group with the nearest index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dqviz.quant.functional import QParams, scale_zero_point
from dqviz.quant.grid import Grid
from dqviz.quant.observers import Observer, RunningMinMax
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import NodeRows, on_rows, row_ends
from dqviz.quant.topology import Topology, nearest


class NodeQuantizer(NodeRows):
    """A site at which each group of nodes has its own step.

    `known` [groups] ascending indices, `low` and `high` [groups]: what the values of each group reach.
    """

    known: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, qtype: QType, topology: Topology) -> None:
        super().__init__(qtype, RunningMinMax())
        self.topology = topology
        self.register_buffer("known", torch.empty(0, dtype=torch.long))
        self.register_buffer("low", torch.empty(0))
        self.register_buffer("high", torch.empty(0))

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """Widens the range of the groups that these rows belong to."""
        super().observe(x, protected, ptr)
        low, high = row_ends(x, ptr)
        if protected is not None:
            low, high = low.masked_fill(protected.rows, 0), high.masked_fill(protected.rows, 0)
        index = torch.cat([self.known, self.topology.index(low.numel(), self.node)])
        self.known, place = torch.unique(index, return_inverse=True)
        zeros = low.new_zeros(self.known.numel())
        self.low = zeros.scatter_reduce(0, place, torch.cat([self.low, low]), "amin")
        self.high = zeros.scatter_reduce(0, place, torch.cat([self.high, high]), "amax")

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
        """s of each group [groups] float32."""
        return self.reach() * self.shared().scale

    def steps_of(self, index: Tensor) -> Tensor:
        """s of each topology index [rows]."""
        return self.steps()[nearest(self.known, index)]

    def grid(self, x: Tensor) -> Grid | None:
        met = self.known.numel() > 0 and not self.qtype.is_float
        return self.grid_of_rows(x.size(0)) if met else super().grid(x)

    def grid_of_rows(self, num_rows: int) -> Grid:
        one = Grid.of(self.shared(), self.qtype)
        step = self.steps_of(self.topology.index(num_rows, self.node))
        return Grid(step[:, None], one.zero, one.low, one.high, one.bits)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        if not self.known.numel():
            return super().fake_quantized(x, protected, ptr)
        return on_rows(x, self.grid_of_rows(x.size(0) if ptr is None else ptr.numel() - 1), protected, ptr)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """How many groups there are is known when they have been met."""
        for name in ("known", "low", "high"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args)


class FoldedQuantizer(Quantizer):
    """Coefficients of edges that absorb the step of the node they weight. Without steps there: an ordinary site.

    `features`: the quantizers of the rows that are weighted, by layer. A mapping, so that they are no part of this one.
    """

    def __init__(self, qtype: QType, observer: Observer, topology: Topology, features: Mapping[int, NodeQuantizer]):
        super().__init__(qtype, observer)
        self.topology, self.features = topology, features

    @property
    def weighted(self) -> NodeQuantizer | None:
        """The quantizer of the rows that these coefficients weight, once calibration has met any."""
        found = None if self.where is None else self.features.get(self.where.layer)
        return None if found is None or not found.known.numel() else found

    @property
    def source(self) -> NodeQuantizer | None:
        """The same where the edges are known: a restored network has not seen any yet."""
        return None if self.edges is None else self.weighted

    def steps(self, source: NodeQuantizer, x: Tensor) -> tuple[Tensor, Tensor]:
        """(s_u of the sender, t_v of the target) of each edge [num_edges] of coefficients x."""
        assert self.edges is not None
        sender, target = self.edges
        nodes = self.topology.scene.num_nodes
        sent = source.steps_of(self.topology.index(nodes))[sender]
        return sent, target_steps(x.detach().float() * sent, target, nodes, self.qtype)[target]

    def grid(self, x: Tensor) -> Grid | None:
        """Of coefficients a^ themselves: the step of an edge is t_v / s_u."""
        source = self.source
        if source is None or self.qtype.is_float:
            return super().grid(x)
        sent, own = self.steps(source, x)
        low, high, bits = (torch.tensor(float(v)) for v in (self.qtype.qmin, self.qtype.qmax, self.qtype.bits))
        return Grid((own / sent)[:, None], low, low, high, bits)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        """The codes are those of a_vu s_u, a float32 product, as the integer session makes them; no gradient passes."""
        source = self.source
        if source is None:
            return super().fake_quantized(x, protected, ptr)
        sent, own = self.steps(source, x)
        codes = (x.detach().float() * sent * (1 / own)).round().clamp(0, self.qtype.levels - 1)
        return (codes * (own / sent)).to(x.dtype)


def target_steps(weights: Tensor, target: Tensor, num_nodes: int, qtype: QType) -> Tensor:
    """t of each node [num_nodes]: its largest weight over its edges (none is negative) in 2^b - 1 parts; 1 without."""
    largest = weights.new_zeros(num_nodes).scatter_reduce(0, target, weights, "amax")
    return torch.where(largest > 0, largest / (qtype.levels - 1), 1.0)
