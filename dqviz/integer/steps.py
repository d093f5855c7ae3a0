"""Steps of nodes: each group of nodes with alike neighbourhoods has its own; edge coefficients absorb it (TopGQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dqviz.integer.codes import Float32, Grid, require_narrow
from dqviz.integer.graph import Edges
from dqviz.quant.folded import NodeQuantizer
from dqviz.quant.topology import nearest


@dataclass(frozen=True, eq=False)
class NodeSteps:
    """`known` int64 [groups] ascending indices, `step` float32 [groups]."""

    known: torch.Tensor
    step: torch.Tensor

    def of(self, edges: Edges) -> Float32:
        """Step of each node [num_nodes] of a graph."""
        found: Float32 = self.step[nearest(self.known, edges.topology)].numpy()
        return found


def steps_of(quantizer: NodeQuantizer) -> tuple[Grid, NodeSteps]:
    """The grid of codes, whose step is 1, and the steps that rows have."""
    require_narrow(quantizer)
    qtype = quantizer.qtype
    shift = 0 if qtype.signed else 1 << (qtype.bits - 1)
    grid = Grid(1.0, quantizer.shared().zero_point - shift, qtype.bits, quantizer.key)
    return grid, NodeSteps(quantizer.known.clone(), quantizer.steps())
