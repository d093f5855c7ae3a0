"""Steps of nodes: each group of nodes with alike neighbourhoods has its own; edge coefficients absorb it (TopGQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dqviz.integer.codes import Float32, Grid, grid_of, require_narrow
from dqviz.integer.graph import Edges
from dqviz.quant.folded import NodeQuantizer
from dqviz.quant.quantizer import Quantizer
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


def steps_of(quantizer: Quantizer) -> tuple[Grid, NodeSteps | None]:
    """The grid of codes, and the steps that rows have where these are a node's (the grid's is then 1)."""
    if not isinstance(quantizer, NodeQuantizer):
        return grid_of(quantizer), None
    require_narrow(quantizer)
    qtype = quantizer.qtype
    shift = 0 if qtype.signed else 1 << (qtype.bits - 1)
    grid = Grid(1.0, quantizer.shared().zero_point - shift, qtype.bits, quantizer.key)
    return grid, NodeSteps(quantizer.known.clone(), quantizer.steps())
