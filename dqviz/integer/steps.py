"""Steps of rows: shared by nodes with alike neighbourhoods (TopGQ), of a row's reach, or learned by each node (A2Q)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch

from dqviz.integer.codes import Float32, Float64, Grid, Int64, grid_of, require_narrow
from dqviz.integer.graph import Edges, Features, SparseRows
from dqviz.quant.folded import NodeQuantizer
from dqviz.quant.nodewise import NodewiseQuantizer, ReachRows, reach_steps
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rows import row_ends
from dqviz.quant.stepped import largest
from dqviz.quant.topology import nearest

NARROWEST = 2
"""Bits of codes as kernels hold them."""


@dataclass(frozen=True, eq=False)
class NodeSteps:
    """`known` int64 [groups] ascending indices, `step` float32 [groups]."""

    known: torch.Tensor
    step: torch.Tensor

    def of(self, edges: Edges) -> Float32:
        """Step of each node [num_nodes] of a graph."""
        found: Float32 = self.step[nearest(self.known, edges.topology)].numpy()
        return found


@dataclass(frozen=True)
class ReachSteps:
    """Each row's largest magnitude is its largest code, `top`."""

    top: float

    def of(self, x: Features) -> Float32:
        """Step of each row [rows] of features."""
        values, ptr = (x.values, torch.from_numpy(x.pattern.indptr)) if isinstance(x, SparseRows) else (x, None)
        low, high = row_ends(torch.from_numpy(np.ascontiguousarray(values)), ptr)
        found: Float32 = reach_steps(torch.maximum(-low, high).float(), torch.tensor(self.top)).numpy()
        return found


@dataclass(frozen=True, eq=False)
class RowGrids:
    """Learned steps and widths of nodes, or pairs that rows choose among by their reach: see `NodewiseQuantizer`."""

    quantizer: NodewiseQuantizer

    def of(self, y: Float64, ptr: Int64 | None = None) -> tuple[Float32, Float32]:
        """(step, largest code) of each row [rows] of real values y that get codes, or of those stored in CSR rows."""
        with torch.no_grad():
            step, width = self.quantizer.rows(torch.from_numpy(y), None if ptr is None else torch.from_numpy(ptr))
            return step.numpy().copy(), largest(width.float()).numpy()


def node_steps(quantizer: Quantizer) -> tuple[Grid, NodeSteps | None]:
    """The grid of codes, and the steps that rows have where these are a node's by topology (the grid's is then 1)."""
    if isinstance(quantizer, ReachRows | NodewiseQuantizer):
        return row_steps(quantizer)[0], None
    if not isinstance(quantizer, NodeQuantizer):
        return grid_of(quantizer), None
    require_narrow(quantizer)
    qtype = quantizer.qtype
    shift = 0 if qtype.signed else 1 << (qtype.bits - 1)
    grid = Grid(1.0, quantizer.shared().zero_point - shift, qtype.bits, quantizer.key)
    return grid, NodeSteps(quantizer.known.clone(), quantizer.steps())


def entry_steps(quantizer: Quantizer) -> tuple[Grid, NodeSteps | ReachSteps | None]:
    """As `node_steps`, where float features become codes: there a row's steps may follow from its values."""
    if not isinstance(quantizer, ReachRows):
        return node_steps(quantizer)
    grid = row_steps(quantizer)[0]
    return grid, ReachSteps(float(grid.qmax - grid.zero_point))


def row_steps(quantizer: ReachRows | NodewiseQuantizer) -> tuple[Grid, RowGrids | None]:
    """The grid of codes at the width of the widest row, symmetric or from 0, and what tells the steps of rows."""
    require_narrow(quantizer)
    learned = quantizer if isinstance(quantizer, NodewiseQuantizer) else None
    spare = 0 if quantizer.signed else 1
    bits = quantizer.qtype.bits if learned is None else int(learned.bounded.round().max().item()) - spare
    bits = max(bits, NARROWEST)
    zero = 0 if quantizer.signed else -(1 << (bits - 1))
    grid = Grid(1.0, zero, bits, quantizer.key, symmetric=quantizer.signed)
    return grid, None if learned is None else RowGrids(deepcopy(learned))  # a run leaves the model as it is


def inner_grid(quantizer: Quantizer) -> tuple[Grid, RowGrids | None]:
    """The grid of codes made of sums, with the grids of rows where these have learned ones."""
    return row_steps(quantizer) if isinstance(quantizer, NodewiseQuantizer) else (grid_of(quantizer), None)
