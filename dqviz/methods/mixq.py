"""MixQ: every tensor learns how many bits it takes, under a penalty on size.

    L = L_task + lambda (1/8) sum_t n_t E_t / sum_t n_t,    E_t = sum_b softmax(theta_t)_b b

Tensor t (one site of the network: weights, features, edge coefficients) has n_t values; b runs over 2, 4 and 8 up to
the run's bits, which are the most that a site may take. While a share `search` of the epochs passes, sites give the
mixture of all widths (`dqviz/quant/mixed.py`); then each keeps the width of its largest theta, theta rests, and the
weights go on to be trained at those widths. Validation chooses among the later epochs only, else it would choose one
from before the penalty has acted. Two tensors of the same theta are pressed by the share of values they hold, as in
the published penalty.

Different from the authors' code: their penalty is kilobytes, so that lambda depends on the data set (they take -1e-8,
0.1 and 1); here it is a mean, of 1 where all values take 8 bits. They train the network of the chosen widths anew, in
float and then quantized; here it goes on from the search. Theirs is NAdam, with weight decay on theta; here as
everywhere Adam, without. Ranges are observed as in `qat`, theirs are the first batch's. Reported mean bits weigh
values, theirs weigh tensors. `mask`: Degree-Quant's protection, as in their "MixQ + DQ". `follow: error`, which is not
theirs: theta follows the error of its own site, so that the loss is L_task + sum_t n_t (error_t + lambda E_t / 8) / n.
Source: Moustafa, Kriege, Gansterer, ICDE 2025 (arXiv 2505.09361), and the authors' code.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from dqviz.methods.base import MOST_BITS, Method, RangeSettings, mean_over_values, rates_apart, searching
from dqviz.methods.dq import protection_probability
from dqviz.quant.convert import quantizers
from dqviz.quant.guard import Protection
from dqviz.quant.mixed import MixedQuantizer, widths_of
from dqviz.quant.observers import Observer, make_observer
from dqviz.quant.qtype import FLOAT_BITS
from dqviz.quant.quantizer import Quantizer, State
from dqviz.quant.where import NEVER_NEGATIVE, Where
from dqviz.registry import Entry


class MixqSettings(RangeSettings):
    """The search for bits, and Degree-Quant's mask."""

    ascending: ClassVar[tuple[tuple[str, str], ...]] = (("p_min", "p_max"),)
    penalty: float = Field(
        default=0.05, ge=0, le=1000, description="Weight lambda of the mean expected bits, relative to 8, in the loss."
    )
    search: float = Field(
        default=0.5, ge=0, lt=1, description="Share of the epochs in which bits are learned; then they are fixed."
    )
    follow: Literal["auto", "loss", "error"] = Field(
        default="auto",
        description="What bits follow beside their size: the loss, as published, or their site's own relative error; "
        "auto is error on node tasks and loss on graph tasks.",
    )
    bits_lr: float = Field(default=0.05, gt=0, le=1, description="Learning rate of theta, which bits are chosen by.")
    mask: Literal["none", "layer", "forward"] = Field(
        default="none",
        description="Degree-Quant's protection of nodes: none, drawn for each layer, or once for a forward pass.",
    )
    p_min: float = Field(default=0.0, ge=0, le=1, description="Protection probability below the smallest in-degree.")
    p_max: float = Field(default=0.1, ge=0, le=1, description="Protection probability at the largest in-degree.")


class MixQ(Method):
    """A mixture of widths at every site, then the chosen ones."""

    settings: MixqSettings

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        if bits >= FLOAT_BITS:
            return super().quantizer(where, bits)
        signed = where.site not in NEVER_NEGATIVE
        return MixedQuantizer(widths_of(bits), signed, self.observer, self.settings.gradient, self.by_error)

    @property
    def by_error(self) -> bool:
        """A node task's graph is known before its sites are made."""
        follow = self.settings.follow
        return self.scene.num_nodes > 0 if follow == "auto" else follow == "error"

    def observer(self, bits: int) -> Observer:
        s = self.settings
        return make_observer(s.observer, bits, momentum=s.momentum, percentile=s.percentile)

    def state_at(self, epoch: int, epochs: int) -> State:
        return searching(self.settings.search, epoch, epochs)

    def protection(self) -> Protection | None:
        s = self.settings
        if s.mask == "none":
            return None
        return Protection(
            lambda in_degree, batch: protection_probability(in_degree, s.p_min, s.p_max, batch),
            per_layer=s.mask == "layer",
        )

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Mean over all values that the last pass met: lambda expected bits / 8, and the error that bits follow."""
        sites = [q for q in quantizers(model) if isinstance(q, MixedQuantizer) and q.searches and q.values]
        return mean_over_values([(q.values, self.cost(q)) for q in sites])

    def cost(self, site: MixedQuantizer) -> Tensor:
        """Of one value of a site, 0-dimensional."""
        size = self.settings.penalty * site.expected_bits() / MOST_BITS
        return size + site.expected_error() if site.by_error else size

    def parameter_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """theta has a learning rate of its own and no weight decay."""
        theta = [q.theta for q in quantizers(model) if isinstance(q, MixedQuantizer)]
        return rates_apart(model, lr, weight_decay, [(theta, self.settings.bits_lr)])


WITH_MASK: dict[tuple[str, Any], tuple[str, ...]] = {("mask", mask): ("tailor2021",) for mask in ("layer", "forward")}
ENTRY: Entry[Method] = Entry("mixq", "MixQ: each tensor learns its bits among 2, 4 and 8, under a penalty on size.",
                             MixQ, MixqSettings, cites=("moustafa2025mixq",),
                             facts={"label": "MixQ", "quantized": True},
                             cites_where=WITH_MASK)  # fmt: skip
