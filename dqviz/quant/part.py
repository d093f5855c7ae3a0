"""Part: some nodes of a graph as the rows of a batch, with the edges that tie them to each other and to the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dqviz.quant.scene import in_degree


@dataclass(frozen=True)
class Part:
    """`nodes` [rows] are the rows; `outside` [others], in order, are the nodes that send to them or hear from them.

    edge_index [2, num_arriving]: every edge into the part; the target is a row, the sender a row or, counted on from
    `rows`, a place in `outside`. leaving [2, num_leaving]: every edge out of the part; the sender's row, the target's
    place in `outside`. degree, received [rows + others]: incoming edges in the whole graph, the former without
    self-loops.
    """

    nodes: Tensor
    outside: Tensor
    edge_index: Tensor
    leaving: Tensor
    degree: Tensor
    received: Tensor

    @property
    def rows(self) -> int:
        return self.nodes.numel()

    @cached_property
    def normalised(self) -> tuple[Tensor, Tensor]:
        """Edges into the part with one self-loop a row, and their symmetric normalisation (Kipf and Welling, eq. 9)."""
        source, target = self.edge_index
        loops = torch.arange(self.rows).expand(2, -1)
        edges = torch.cat([self.edge_index[:, source != target], loops], 1)
        return edges, self.symmetric(*edges)

    def symmetric(self, source: Tensor, target: Tensor) -> Tensor:
        """1 / sqrt((d_source + 1)(d_target + 1)) of each edge; ends count on from the rows to `outside`."""
        factor = (self.degree + 1).to(torch.get_default_dtype()).rsqrt()
        return factor.index_select(0, source) * factor.index_select(0, target)


class Divided:
    """A graph that is taken in parts. It keeps two numbers a node; a part costs one look at every edge."""

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        self.edge_index, self.num_nodes = edge_index, num_nodes
        self.degree = in_degree(edge_index, num_nodes)
        self.received = torch.bincount(edge_index[1], minlength=num_nodes)

    def part(self, nodes: Tensor) -> Part:
        """The part of these nodes [rows], each named once."""
        source, target = self.edge_index
        inside = torch.zeros(self.num_nodes, dtype=torch.bool)
        inside[nodes] = True
        arrives = inside[target]
        arriving = self.edge_index[:, arrives]
        leaving = self.edge_index[:, inside[source].logical_and_(~arrives)]
        outside = torch.unique(torch.cat([arriving[0][~inside[arriving[0]]], leaving[1]]))
        place = torch.empty(self.num_nodes, dtype=torch.long)
        everyone = torch.cat([nodes, outside])
        place[everyone] = torch.arange(everyone.numel())
        out = torch.stack([place[leaving[0]], place[leaving[1]] - nodes.numel()])
        return Part(nodes, outside, place[arriving], out, self.degree[everyone], self.received[everyone])
