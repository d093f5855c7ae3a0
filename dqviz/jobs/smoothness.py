"""Smoothness of what leaves each layer: how alike neighbours are, what a layer changes, and how wrong it is.

    energy tr(H^T L H) = 1/2 sum over edges |h_u / sqrt(d_u) - h_v / sqrt(d_v)|^2,  L = I - A^,

A^ the symmetric normalisation with self-loops, d the degrees with them. Divided by tr(H^T H) it is free of scale, lies
between 0 and 2, and 0 says that rows hold nothing but the degree of their node: what deep GCNs collapse to (Cai & Wang,
arXiv 2006.13318). The energy of a step's change is what `smp` bounds (arXiv 2308.14949).

Nothing runs again: H is what the trace has recorded. All products are sparse, in float64. In a graph task H holds the
rows of the traced graphs; graphs have no edges between them, so sums over the batch are sums over graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor, nn
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.columns import Column
from dqviz.quant import Site
from dqviz.training import Recorded
from dqviz.training.batches import Batch

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-12
"""An energy below this share of the sum of squares is rounding, and is 0."""


def smoothness(model: nn.Module, traced: Sequence[tuple[Recorded, Tensor]], batch: Batch) -> pd.DataFrame:
    """TABLES["smoothness"]: a row a layer, or a propagation step. `traced` in order of execution."""
    steps = layer_rows(model, traced, batch.x.size(0))
    around = normalised(batch.edge_index, batch.x.size(0))
    before: list[Floats | None] = [None, *(own for own, _ in steps)]
    rows = [{Column.STEP: at, **measured(own, twin, last, around)}
            for at, ((own, twin), last) in enumerate(zip(steps, before, strict=False), start=1)]  # fmt: skip
    return pd.DataFrame(rows).rename(columns=str).assign(**{Column.MULTIPLIER: multipliers(model, len(rows))})


def layer_rows(
    model: nn.Module, traced: Sequence[tuple[Recorded, Tensor]], num_nodes: int
) -> list[tuple[Floats, Floats]]:
    """(H, the twin's H) [num_nodes, channels] of each layer; of a step of several layers what leaves the last."""
    sites = [(recorded.quantizer.where, recorded.xq, twin) for recorded, twin in traced if len(twin) == num_nodes]
    found = [(own, twin) for where, own, twin in sites if where and where.site is Site.UPDATE]
    every = max(1, len(found) // int(getattr(model, "depth", max(1, len(found)))))
    return [(floats(own), floats(twin)) for own, twin in found[every - 1 :: every]]


def measured(own: Floats, twin: Floats, before: Floats | None, around: sparse.csr_array) -> dict[str, float]:
    """One row. The change is NaN for the first layer and where a layer changes the number of channels."""
    squares, squares_twin = (float((rows**2).sum()) for rows in (own, twin))
    change = change_energy = np.nan
    if before is not None and before.shape == own.shape:
        change = share(float(((own - before) ** 2).sum()), float((before**2).sum()))
        change_energy = energy(own - before, around)
    return {
        Column.ENERGY: energy(own, around), Column.ENERGY_TWIN: energy(twin, around), Column.SQUARES: squares,
        Column.SQUARES_TWIN: squares_twin, Column.CHANGE: change, Column.CHANGE_ENERGY: change_energy,
        Column.LAYER_ERROR: share(float(((own - twin) ** 2).sum()), squares_twin) ** 0.5,
    }  # fmt: skip


def energy(rows: Floats, around: sparse.csr_array) -> float:
    """tr(H^T L H) of H [num_nodes, channels]; never negative where edges go both ways."""
    found = float((rows * (rows - around @ rows)).sum())
    return 0.0 if abs(found) <= ROUNDING * float((rows**2).sum()) else found


def normalised(edge_index: Tensor, num_nodes: int) -> sparse.csr_array:
    """A^ [num_nodes, num_nodes] of edge_index [2, num_edges] (Kipf & Welling); row v sums what arrives at v."""
    (source, target), weight = gcn_norm(edge_index, None, num_nodes, dtype=torch.float64)
    entries = weight.numpy(), (target.numpy(), source.numpy())
    return sparse.csr_array(entries, shape=(num_nodes, num_nodes))


def multipliers(model: nn.Module, steps: int) -> Any:
    """[steps] of an architecture that bounds smoothness; NaN for the others."""
    found = getattr(model, "multiplier", None)
    return np.full(steps, np.nan) if found is None else found.double().numpy()


def share(part: float, whole: float) -> float:
    """NaN where there is nothing to compare with."""
    return part / whole if whole > 0 else np.nan


def floats(x: Tensor) -> Floats:
    found: Floats = x.detach().reshape(x.size(0), -1).double().numpy()
    return found
