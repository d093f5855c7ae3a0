"""Degree-Quant: quantization-aware training that protects nodes of high in-degree at random.

    p_v = p_min + (p_max - p_min) F(d_v),     m_v ~ Bernoulli(p_v) in each step

F is the inclusive empirical CDF of in-degree (of each graph in a batch). Protected nodes, and the messages they send,
stay at full precision in that step; weights are always quantized; at evaluation nothing is protected. Ranges by
percentile, gradient clipped. Use it where in-degree is skewed. Its two ablations are settings: "mask without
percentile" is `observer: abs` or `mom` here, "percentile without mask" is `qat` with `observer: per, gradient: gc`.
Source: Tailor, Fernandez-Marques, Lane, ICLR 2021 (arXiv 2008.05000), section 3.3.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dqviz.methods.base import Method
from dqviz.methods.qat import Qat, QatSettings
from dqviz.methods.quantizers import WORKS
from dqviz.quant.guard import Protection
from dqviz.registry import Entry


class DqSettings(QatSettings):
    """Degree-Quant's own settings beside those of the ranges."""

    ascending: ClassVar[tuple[tuple[str, str], ...]] = (("p_min", "p_max"),)
    observer: Literal["abs", "mom", "per"] = Field(default="per", description="Range rule: abs, mom or per.")
    gradient: Literal["ste", "gc"] = Field(default="gc", description="Backward rule: ste or gc.")
    p_min: float = Field(default=0.0, ge=0, le=1, description="Protection probability below the smallest in-degree.")
    p_max: float = Field(default=0.1, ge=0, le=1, description="Protection probability at the largest in-degree.")
    mask: Literal["layer", "forward"] = Field(
        default="layer", description="Draw the mask for each layer, or once for a forward pass."
    )
    mlp: Literal["protected", "quantized"] = Field(
        default="protected",
        description="GIN: protected nodes stay so inside the MLP, or are quantized there as in the authors' code.",
    )


class DegreeQuant(Qat):
    """QAT plus `protection(in_degree)`."""

    settings: DqSettings

    def protection(self) -> Protection:
        s = self.settings
        return Protection(
            lambda in_degree, batch: protection_probability(in_degree, s.p_min, s.p_max, batch),
            per_layer=s.mask == "layer",
            mlp=s.mlp == "protected",
        )


def protection_probability(in_degree: Tensor, p_min: float, p_max: float, batch: Tensor | None = None) -> Tensor:
    """p_v [num_nodes] float32; equal degree, equal p; the largest degree of a graph gets p_max."""
    if batch is None:
        batch = torch.zeros_like(in_degree)
    # Rank pairs (graph, degree) as one number: the inclusive CDF is the position of the last equal one.
    combined = batch * (int(in_degree.max()) + 1) + in_degree if in_degree.numel() else in_degree
    position = torch.searchsorted(combined.sort().values, combined, right=True)
    sizes = torch.bincount(batch)
    before = sizes.cumsum(0) - sizes
    cdf = (position - before[batch]) / sizes[batch]
    return (p_min + (p_max - p_min) * cdf).float()


ENTRY: Entry[Method] = Entry("dq", "Degree-Quant: QAT that protects nodes of high in-degree at random.", DegreeQuant,
                             DqSettings, cites=("tailor2021",),
                             facts={"label": "Degree-Quant", "quantized": True}, cites_where=WORKS)  # fmt: skip
