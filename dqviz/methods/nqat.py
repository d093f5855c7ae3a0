"""Quantization noise (nQAT): QAT that quantizes only a random part of the weights in each step.

    m_ij ~ Bernoulli(rate) in each step,     w^_ij = Q(w_ij) where m_ij = 1, else w_ij

The weights that stay get the exact gradient in that step; at evaluation all are quantized. Everything that is not a
weight is quantized as in `qat`, and ranges are those of all weights. Use it where plain QAT is noisy at few bits; it
knows nothing of the graph. Source: Fan et al., ICLR 2021 (arXiv 2004.07320), section 4.2, there for blocks of weights;
elements are blocks of one, as in its scalar quantization, whose published example has rate 0.5.
"""

from __future__ import annotations

from pydantic import Field

from dqviz.methods.base import Method
from dqviz.methods.qat import Qat, QatSettings
from dqviz.methods.quantizers import WORKS
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import PARAMETERS, Where
from dqviz.registry import Entry


class NqatSettings(QatSettings):
    """How much of the weights is quantized."""

    rate: float = Field(default=0.5, ge=0, le=1, description="Share of the weights quantized in each training step.")


class Nqat(Qat):
    """QAT whose weight sites quantize a share of their elements."""

    settings: NqatSettings

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        quantizer = super().quantizer(where, bits)
        if where.site in PARAMETERS:
            quantizer.share = self.settings.rate
        return quantizer


ENTRY: Entry[Method] = Entry("nqat", "Quantization noise: QAT with a random share of the weights quantized each step.",
                             Nqat, NqatSettings, cites=("fan2021", "jacob2018"),
                             facts={"label": "nQAT", "quantized": True}, cites_where=WORKS)  # fmt: skip
