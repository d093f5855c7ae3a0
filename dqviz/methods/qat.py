"""Quantization-aware training: every site is quantized in every step, gradients pass by the straight-through estimator.

Six modes {ste, gc} x {abs, mom, per}; the published baseline is ste with mom. Use it as the baseline that
degree-aware methods must beat. `gc` with `per` is Degree-Quant without its mask, the ablation "percentile without
mask". `quantizer` puts another kind in place of the observed step (`dqviz/methods/quantizers.py`): learned steps, a
scale for each row or column, levels that are powers of two or sums of them, alike for all or chosen by each site. The
backward rule is then the kind's own, and so is the range rule of `lsq` and `rows`. With `finetune` below 1 a network
trains at full precision first: at 2 bits a new one often never learns anything. Source: Jacob et al. 2018 (arXiv
1712.05877); modes: Tailor et al. 2021 (2008.05000).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import nn

from dqviz.methods.base import Finetuned, FinetuneSettings, Method, rates_apart
from dqviz.methods.quantizers import MAKERS, WORKS, Asked
from dqviz.quant.learned import LearnedQuantizer
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import Where
from dqviz.registry import Entry


class QatSettings(FinetuneSettings):
    """Ranges observed or steps learned."""

    quantizer: Literal["observed", "lsq", "rows", "columns", "pow2", "apot", "ausn"] = Field(
        default="observed",
        description="observed: one step, by the range rule; lsq: step and zero point are learned with the weights; "
        "rows, columns: a step for each row or column of features, and for each output column of weights; "
        "pow2, apot: levels that are powers of two, or sums of them; ausn: each site chooses among such sums.",
    )
    step_lr: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="Learning rate of learned steps: their relative change in a training step.",
    )


class Qat(Finetuned):
    """Fake quantization in training, by a quantizer of the chosen kind."""

    settings: QatSettings

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        observed = super().quantizer(where, bits)
        if observed.qtype.is_float:
            return observed
        return MAKERS[self.settings.quantizer](Asked(observed, where, self.settings))

    def parameter_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Learned steps have a learning rate of their own and no weight decay: it would pull them to the first ones."""
        steps = [p for m in model.modules() if isinstance(m, LearnedQuantizer) for p in m.parameters()]
        return rates_apart(model, lr, weight_decay, [(steps, self.settings.step_lr)])


ENTRY: Entry[Method] = Entry("qat", "Quantization-aware training, six modes: ste or gc with abs, mom or per ranges.",
                             Qat, QatSettings, cites=("jacob2018", "tailor2021"),
                             facts={"label": "QAT", "quantized": True}, cites_where=WORKS)  # fmt: skip
