"""What the analyses read, from what the trace recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dqviz.analysis.view import SiteView
from dqviz.quant import Site
from dqviz.quant.where import NODE_SITES
from dqviz.training import Recorded


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
        qtype, params = quantizer.qtype, quantizer.qparams()
        lo, hi, scale, zero_point = (
            (np.nan, np.nan, np.nan, np.nan) if qtype.is_float
            else ((qtype.qmin - params.zero_point) * params.scale, (qtype.qmax - params.zero_point) * params.scale,
                  params.scale, params.zero_point)
        )  # fmt: skip
        yield SiteView(
            key=where.key, layer=where.layer, part=where.part, site=str(where.site), order=order,
            bits=qtype.bits, signed=qtype.signed, lo=lo, hi=hi, scale=scale, zero_point=zero_point,
            x=rows(recorded.x), xq=rows(recorded.xq), reference=rows(reference),
            node=None if recorded.node is None else recorded.node.numpy(),
            per_node=where.site in NODE_SITES and (recorded.node is not None or recorded.x.size(0) == num_nodes),
        )  # fmt: skip
