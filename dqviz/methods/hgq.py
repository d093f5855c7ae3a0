"""HGQ: every tensor learns a real number of bits by the gradient of its rounding error, under a penalty on size.

    L = L_task + lambda (1/8) sum_t n_t b_t / sum_t n_t

Tensor t has n_t values and b_t bits (`dqviz/quant/fractional.py`), from the run's bits, which are the most, down to 2.
While a share `search` of the epochs passes, bits move with the weights; then they rest, and validation chooses among
the later epochs only, else it would choose one from before the penalty has acted. Beside MixQ, which mixes whole
networks of a few widths, a pass costs what QAT's does, and any width may come out.

Different from HGQ: its size is the number of bit operations of each product, or an L1 norm of the bits; here it is the
mean bits of a value, so that lambda compares with MixQ's. It trains one b a weight where the device allows that; here
a site has one. Source: Sun et al. 2024 (arXiv 2405.00645).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor, nn

from dqviz.methods.base import MOST_BITS, Method, RangeSettings, mean_over_values, rates_apart, searching
from dqviz.quant.convert import quantizers
from dqviz.quant.fractional import FractionalQuantizer
from dqviz.quant.quantizer import Quantizer, State
from dqviz.quant.where import Where
from dqviz.registry import Entry


class HgqSettings(RangeSettings):
    """The search for bits."""

    penalty: float = Field(
        default=0.1, ge=0, le=1000, description="Weight lambda of the mean bits, relative to 8, in the loss."
    )
    search: float = Field(
        default=0.5, ge=0, lt=1, description="Share of the epochs in which bits are learned; then they are fixed."
    )
    bits_lr: float = Field(
        default=0.02, gt=0, le=1, description="Learning rate of bits: Adam moves them by about so much in a step."
    )


class Hgq(Method):
    """Fixed-point sites whose bits are learned, then fixed."""

    settings: HgqSettings

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        observed = super().quantizer(where, bits)
        return observed if observed.qtype.is_float else FractionalQuantizer(observed.qtype, observed.observer)

    def state_at(self, epoch: int, epochs: int) -> State:
        return searching(self.settings.search, epoch, epochs)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """lambda mean bits / 8 over all values that the last pass met."""
        sites = [q for q in quantizers(model) if isinstance(q, FractionalQuantizer) and q.searches and q.values]
        return mean_over_values([(q.values, self.settings.penalty * q.bits / MOST_BITS) for q in sites])

    def parameter_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Bits have a learning rate of their own and no weight decay."""
        bits = [q.bits for q in quantizers(model) if isinstance(q, FractionalQuantizer)]
        return rates_apart(model, lr, weight_decay, [(bits, self.settings.bits_lr)])


ENTRY: Entry[Method] = Entry("hgq", "HGQ: each tensor learns a real number of bits, under a penalty on size.",
                             Hgq, HgqSettings, cites=("sun2024hgq",),
                             facts={"label": "HGQ", "quantized": True})  # fmt: skip
