"""QLR: quantization-aware training whose ranges are learned: [a min, a max] of each site, a a parameter.

Formula and gradient: `dqviz/quant/ranged.py`. At 2 bits values can keep the upper two of eight bits in place of levels
of their own (BT), after their skewness has moved them (BT*). Made for smoothness-aware propagation (architecture
`smp`), whose sums and updates of both streams are then quantized as well as the MLP; it works on every architecture.
Use it at few bits, where a few values decide how wide an observed range is; it is close to learned steps (`qat` with
`quantizer: lsq`), but the range goes on following what it sees. Source: Wang et al., CIKM 2023 (arXiv 2308.14949).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import nn

from dqviz.methods.base import Method, RangeSettings, late, rates_apart
from dqviz.quant.convert import quantizers
from dqviz.quant.observers import make_observer
from dqviz.quant.quantizer import Quantizer, State
from dqviz.quant.ranged import RangedQuantizer, TruncatedQuantizer, Truncation
from dqviz.quant.where import Where
from dqviz.registry import Entry, Settings


class QlrSettings(Settings):
    """How the range is seen, how fast it is learned, and what 2 bits are."""

    observer: Literal["abs", "mom", "per"] = Field(
        default="mom", description="Range that is scaled: abs (running min/max), mom (momentum), per (percentile)."
    )
    momentum: float = Field(
        default=0.1, gt=0, le=1, description="Momentum of the mom observer; 1: the last step's range."
    )
    percentile: float = Field(
        default=0.0, ge=0, lt=0.5, description="Share clipped at each end by per; 0: 0.001 from 8 bits up, else 0.01."
    )
    range_lr: float = Field(
        default=1e-3, gt=0, le=1, description="Learning rate of a: its relative change in a training step."
    )
    finetune: float = Field(
        default=1.0, gt=0, le=1, description="Share of the epochs, the last ones, that are quantized; before: float."
    )
    truncate: Truncation = Field(
        default="none",
        description="At 2 bits: levels of their own (none), the upper two bits of eight (bt), or those "
        "after the values' skewness was added (bt*).",
    )


class Qlr(Method):
    """Every site's range has a learned factor."""

    def state_at(self, epoch: int, epochs: int) -> State:
        return late(self.own.finetune, epoch, epochs)

    def __init__(self, settings: QlrSettings) -> None:
        super().__init__(RangeSettings(observer=settings.observer))
        self.own = settings
        self.prepares = settings.finetune < 1

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        plain = super().quantizer(where, bits)
        if plain.qtype.is_float:
            return plain
        s = self.own
        observer = make_observer(s.observer, bits, momentum=s.momentum, percentile=s.percentile)
        if bits == 2 and s.truncate != "none":
            return TruncatedQuantizer(observer, skewed=s.truncate == "bt*")
        return RangedQuantizer(plain.qtype, observer)

    def parameter_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Factors have a learning rate of their own and no weight decay."""
        factors = [q.log_factor for q in quantizers(model) if isinstance(q, RangedQuantizer)]
        return rates_apart(model, lr, weight_decay, [(factors, self.own.range_lr)])


ENTRY: Entry[Method] = Entry("qlr", "QLR: each site's observed range is scaled by a learned factor; BT, BT* at 2 bits.",
                             Qlr, QlrSettings, cites=("wang2023smp",),
                             facts={"label": "QLR", "quantized": True})  # fmt: skip
