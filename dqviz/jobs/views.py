"""What the analyses read, from what the trace recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dqviz.analysis.view import FULL_PRECISION, OwnGrids, SiteView
from dqviz.quant import Site
from dqviz.quant.grid import Grid
from dqviz.quant.where import NODE_SITES
from dqviz.training import Recorded

NO_GRID = {"lo": np.nan, "hi": np.nan, "scale": np.nan, "zero_point": np.nan}


def rows(values: Tensor) -> npt.NDArray[Any]:
    """[rows, channels] of dense or CSR values of any rank."""
    dense = values.detach().to_dense() if values.layout == torch.sparse_csr else values.detach()
    return dense.reshape(dense.size(0), -1).numpy()


def site_views(traced: list[tuple[Recorded, Tensor]], num_nodes: int, untouched: bool) -> Iterator[SiteView]:
    """One view a site, in order of execution, each made when it is asked for.

    Sites without a quantizer are left out unless `untouched` asks for them (FP32 runs) or they are an aggregate:
    what leaves the sum is shown for every run. Rows of a graph task's classifier are graphs, not nodes.
    """
    for order, (recorded, reference) in enumerate(traced):
        quantizer = recorded.quantizer
        where = quantizer.where
        if where is None or (quantizer.qtype.is_float and not untouched and where.site is not Site.AGGREGATE):
            continue
        yield SiteView(
            key=where.key, layer=where.layer, part=where.part, site=str(where.site), order=order,
            signed=quantizer.qtype.signed, **grid_fields(quantizer.grid(recorded.x), quantizer.qtype.bits),
            x=rows(recorded.x), xq=rows(recorded.xq), reference=rows(reference),
            node=None if recorded.node is None else recorded.node.numpy(),
            uneven=quantizer.own_levels, often=None if recorded.copies is None else recorded.copies.rows.numpy(),
            per_node=where.site in NODE_SITES and (recorded.node is not None or recorded.x.size(0) == num_nodes),
        )  # fmt: skip


def grid_fields(grid: Grid | None, bits: int) -> dict[str, Any]:
    """The fields of a SiteView that tell of its grid. Without one the site is untouched, or has a codebook."""
    if grid is None:
        return {**NO_GRID, "bits": bits}
    if grid.is_one:
        return {"lo": grid.lower.item(), "hi": grid.upper.item(), "scale": grid.step.item(),
                "zero_point": grid.zero.item(), "bits": round(grid.bits.item())}  # fmt: skip
    own = OwnGrids(*(matrix(part) for part in (grid.lower, grid.upper, grid.step, grid.bits)))
    coarse = own.bits[own.bits < FULL_PRECISION]  # SGQuant leaves some nodes as they are: the site is quantized still
    widest = int(np.ceil(coarse.max())) if coarse.size else FULL_PRECISION
    return {"lo": own.lo.min(), "hi": own.hi.max(), "scale": np.sqrt(np.mean(own.scale**2)), "zero_point": np.nan,
            "bits": widest, "own": own}  # fmt: skip


def matrix(part: Tensor) -> npt.NDArray[np.float64]:
    """[1, 1], [rows, 1] or [1, channels]."""
    values = part.detach().double().numpy()
    return values if values.ndim == 2 else values.reshape(1, 1)
