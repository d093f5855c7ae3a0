"""Vector-wise quantization-aware training: a step for each row of features and for each output column of weights.

    s_i = (max(0, max_c x_ic) - min(0, min_c x_ic)) / (2^b - 1),    x W ~ diag(s) (q - z) (q_W - z_W) diag(s_W)

with codes q and zero points z of each row. A row's range is that of its own values in this very pass
(`dqviz.quant.rowrange`), so a hub with large sums stretches no other node's range and nothing is clipped there. What
has no rows of nodes has one observed step, as in `qat`: messages of single edges (GCN, GAT, APPNP, SMP), edge
coefficients, attention. It is `qat` with `quantizer: rows`, as a method of its own so that its settings are searched
and its cells stand in the tables beside methods with one step a tensor. Use it to see what a step for each node buys at
few bits. It costs a step and a zero point a row at every site that has rows, found while the network runs: a float32
step weighs as much as eight values of 4 bits, half of a row of 16 channels. It has no integer run here: steps of single
rows are folded into nothing (`topgq` folds those of groups of nodes). Source: Dettmers et al., NeurIPS 2022 (arXiv
2208.07339), there symmetric and for inference; weights by output column: Krishnamoorthi 2018 (arXiv 1806.08342);
trained as in Jacob et al. 2018 (arXiv 1712.05877).
"""

from __future__ import annotations

from dqviz.methods.base import Finetuned, FinetuneSettings, Method
from dqviz.methods.quantizers import Asked, rows
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import Where
from dqviz.registry import Entry


class VectorWiseSettings(FinetuneSettings):
    """How messages of edges, edge coefficients and attention are observed; from when on values are quantized."""


class VectorWise(Finetuned):
    """Fake quantization in training with a step for each row."""

    settings: VectorWiseSettings

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        observed = super().quantizer(where, bits)
        return observed if observed.qtype.is_float else rows(Asked(observed, where, self.settings))


ENTRY: Entry[Method] = Entry("vectorwise", "Vector-wise QAT: a step for each row of features and column of weights.",
                             VectorWise, VectorWiseSettings, cites=("dettmers2022", "krishnamoorthi2018", "jacob2018"),
                             facts={"label": "Vector-wise", "quantized": True})  # fmt: skip
