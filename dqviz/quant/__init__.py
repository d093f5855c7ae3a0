"""Quantizers and the one seam between an architecture and a method: `quantize(model, method, bits, profile)`."""

from dqviz.quant.convert import QuantLinear, quantize, quantizers, twin
from dqviz.quant.hooks import Profile
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import Site, Where

__all__ = ["Profile", "QType", "QuantLinear", "Quantizer", "Site", "Where", "quantize", "quantizers", "twin"]
