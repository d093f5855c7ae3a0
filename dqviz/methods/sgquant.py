"""SGQuant: features and attention are quantized, weights stay float; nodes, layers and components may differ in bits.

    q = round((x - min) / scale),    [min, max] = mean over nodes of each node's extremes

dequantized before the product, trained with the straight-through estimator after a share of the epochs at full
precision. Granularities, alone or combined, from the run's bits b (which is what `uniform` takes everywhere):
`component` gives attention bits of its own; `layer` each layer; `topology` each node the smallest of {1, 2, 4, 8, 16,
32} not below b / sqrt(in-degree), at least 2 (the paper has 32 in place of b: `top_bits: 32`). `auto` chooses bits for
each site and bin of in-degree under a budget of mean bits. Use it where memory for features is what counts; it gives
hubs few bits, the opposite of what A2Q learns. Source: Feng et al., ICTAI 2020 (arXiv 2007.05100) and the authors'
code.

The mean range suits what enters a layer. At every site (`sites: all`) it clips large logits to one value, so there rows
need their own ranges (`range: own`, as in the authors' topology code): GCN on Cora at 8 bits, three seeds, has a
validation accuracy of 80.0 with `entering` and `mean`, 70.7 with `all` and `mean`, 80.3 with `all` and `own`. The two
numbers that make a range of its own are not counted among a row's bits.

What differs. The paper's `auto` learns a regression tree of accuracy from many trained configurations; here the
squared error of every choice is measured in one pass over the training data of the network at full precision, relative
to the site's energy, and bits are given where they remove most error (`dqviz.quant.budget`): one training, the same
result each time. Attention is NORM and ALPHA (of GCN: its fixed coefficients) with the extremes as range. Zero is a
code, so that sparse rows stay sparse. The authors' code gives nodes without incoming edges 32 bits: here they have
those of in-degree 1. With `weights: quantized` weights and attention vectors are quantized as in `qat`, for comparisons
over all tensors.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dqviz.methods.base import Method, RangeSettings, late
from dqviz.quant.budget import allot
from dqviz.quant.convert import quantizers
from dqviz.quant.mean_range import ChosenBits, MeanRange, RowBits
from dqviz.quant.qtype import FLOAT_BITS, QType
from dqviz.quant.quantizer import Quantizer, State
from dqviz.quant.where import NEVER_NEGATIVE, PARAMETERS, Site, Where
from dqviz.registry import Entry

WIDTHS = (1, 2, 4, 8, 16, 32)
LEAST = 2
CHOICES = (2, 4, 8, 16)
"""Widths that `auto` chooses among, up to the run's bits."""
ATTENTION = frozenset({Site.NORM, Site.ALPHA})


class SgquantSettings(RangeSettings):
    """Which bits go where, and when quantization begins."""

    observer: Literal["abs", "mom", "per"] = Field(
        default="abs", description="Range rule of attention and weights: abs, mom or per. Features take the mean."
    )
    gradient: Literal["ste", "gc"] = Field(
        default="ste",
        description="Backward rule of weights, attention and features in one width with the mean range: ste or gc. "
        "Rows with grids of their own pass it.",
    )
    momentum: float = Field(default=0.1, gt=0, le=1, description="Share by which a training step moves a range.")
    granularity: Literal[
        "uniform", "component", "layer", "topology", "component+layer", "component+topology", "layer+topology",
        "component+layer+topology", "auto",
    ] = Field(
        default="uniform", description="What bits depend on; auto: chosen by measured error under `budget`."
    )  # fmt: skip
    attention_bits: int = Field(
        default=0, ge=0, le=32, description="Component: bits of attention; 0: half of the run's or layer's, at least 2."
    )
    layer_bits: str = Field(
        default="",
        pattern=r"^((1|2|3|4|8|16|32)(,(1|2|3|4|8|16|32))*)?$",
        description="Layer: bits of each layer, such as 4,4,2,2, the last for all further ones; empty: the run's, "
        "then half of them, at least 2.",
    )
    top_bits: int = Field(
        default=0, ge=0, le=32, description="Topology: bits at in-degree 1; 0: the run's bits (the paper: 32)."
    )
    budget: float = Field(
        default=4.0,
        ge=2,
        le=16,
        description="Auto: mean bits of a value that a layer made; the run's bits are the most that any gets, so there "
        "is a choice below them alone. The data set's own rows keep the run's bits.",
    )
    range: Literal["mean", "own"] = Field(
        default="mean", description="Range of a node: the mean over nodes, or its own extremes at every pass."
    )
    sites: Literal["entering", "all"] = Field(
        default="entering", description="Features quantized: those that enter a layer as published, or all sites."
    )
    finetune: float = Field(
        default=0.5, ge=0, le=1, description="Share of the epochs that are trained quantized; the first are FP32."
    )
    weights: Literal["float", "quantized"] = Field(
        default="float", description="Weights stay float as published, or are quantized as in qat."
    )


class SgQuant(Method):
    """Features by the mean range of nodes, with bits by component, layer, in-degree or measured error."""

    settings: SgquantSettings
    prepares = True

    def state_at(self, epoch: int, epochs: int) -> State:
        return late(self.settings.finetune, epoch, epochs)

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        s = self.settings
        if bits >= FLOAT_BITS:
            return super().quantizer(where, bits)
        if where.site in PARAMETERS:
            return super().quantizer(where, bits if s.weights == "quantized" else FLOAT_BITS)
        base = self.layer_bits(where.layer, bits) if "layer" in s.granularity else bits
        if where.site in ATTENTION:
            own = s.attention_bits or max(LEAST, base // 2)
            return super().quantizer(where, own if "component" in s.granularity else base)
        if s.sites == "entering" and not enters(where):
            return super().quantizer(where, FLOAT_BITS)
        return self.of_features(QType(base, signed=where.site not in NEVER_NEGATIVE))

    def of_features(self, qtype: QType) -> Quantizer:
        s = self.settings
        own = s.range == "own"
        if s.granularity == "auto":
            widths = [width for width in CHOICES if width < qtype.bits] + [qtype.bits]
            return ChosenBits(qtype, s.gradient, s.momentum, self.scene, widths, own)
        if "topology" in s.granularity and not qtype.is_float:
            top = s.top_bits or qtype.bits
            return RowBits(qtype, s.gradient, s.momentum, self.scene, lambda degree: bits_of(degree, top), own)
        if own and not qtype.is_float:
            same = partial(torch.full_like, fill_value=qtype.bits)
            return RowBits(qtype, s.gradient, s.momentum, self.scene, same, own)
        return MeanRange(qtype, s.gradient, s.momentum)

    def layer_bits(self, layer: int, bits: int) -> int:
        """Bits of a layer (from 0)."""
        if not self.settings.layer_bits:
            return bits if layer == 0 else max(LEAST, bits // 2)
        given = [int(width) for width in self.settings.layer_bits.split(",")]
        return given[min(layer, len(given) - 1)]

    def calibrated(self, model: nn.Module) -> None:
        """Gives the measured sites their bits."""
        sites = [q for q in quantizers(model) if isinstance(q, ChosenBits) and q.energy > 0]
        for widths in sorted({q.widths for q in sites}):
            alike = [q for q in sites if q.widths == widths]
            errors = np.concatenate([(q.errors / q.energy).double().numpy() for q in alike])
            values = np.concatenate([q.values.double().numpy() for q in alike])
            found = torch.tensor(allot(errors, values, widths, self.settings.budget), dtype=torch.float)
            for q, bits in zip(alike, found.view(len(alike), -1), strict=True):
                q.table.copy_(bits)


def enters(where: Where) -> bool:
    """Whether rows of nodes enter a product with weights there, or are sent as they are (GIN, SAGE)."""
    return where.site is Site.INPUT or (where.site is Site.MESSAGE and not where.edges)


def bits_of(in_degree: Tensor, top: int) -> Tensor:
    """[num_nodes]: smallest of WIDTHS not below top / sqrt(in-degree), at least 2 and at most `top`."""
    wanted = (top / in_degree.clamp(min=1).double().sqrt()).clamp(min=LEAST)
    widths = torch.tensor(WIDTHS, dtype=torch.double)
    return widths[torch.searchsorted(widths, wanted)].clamp(max=top).float()


ENTRY: Entry[Method] = Entry("sgquant", "SGQuant: features in bits by component, layer or in-degree; float weights.",
                             SgQuant, SgquantSettings, cites=("feng2020sgquant",),
                             facts={"label": "SGQuant", "quantized": True})  # fmt: skip
