"""Full precision: no quantizer touches a value. The reference every loss of accuracy is measured against."""

from __future__ import annotations

from dqviz.methods.base import Method, RangeSettings
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import Where
from dqviz.registry import Entry, Settings


class Fp32(Method):
    """All sites are there (they can be recorded) and pass values untouched, whatever bits were asked for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(RangeSettings())

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        return super().quantizer(where, 32)


ENTRY: Entry[Method] = Entry("fp32", "Full precision, the reference.", Fp32, Settings, cites=("kipf2017",),
                             facts={"label": "FP32", "quantized": False})  # fmt: skip
