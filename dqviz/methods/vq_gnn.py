"""VQ-GNN: nodes know their neighbours by codewords, so a graph can be trained in parts that fit into memory.

    A_in X_part + A_out X~        dL/dX_part = A_in^T G_part + A_back^T G~

X~ are the feature codewords of the nodes outside the part, G~ their gradient codewords (`dqviz/quant/codebook.py`);
A_in, A_out and A_back are the edges inside the part, into it and out of it. A layer keeps one small integer for each
4 channels of a node. Where every codeword is exact, the parts give together the gradient of the whole graph. For GAT
that holds with `attention: learned`, which keeps codewords of the attention a node pays (`dqviz/quant/attention.py`);
its differences of large numbers amplify the codewords' error (Cora, 80 epochs in parts of 1024, seeds 0 and 1: best
validation accuracy 70.4 and 79.6, against 79.8 and 78.8 with `uniform`), so it is not the default.

Rows within a part see each other exactly. In evaluation, and where a network is trained on whole graphs, every message
between two nodes is a codeword and only a node's own row is exact, so that accuracy does not depend on how nodes were
batched; the paper's inference goes by batches, exact inside them. In training a large graph is evaluated part by part
as well, with the same result; the analyses of a finished run look at the whole graph at once, as with any method.

`bits` are those of the weights (affine, as in `qat`); codewords and all other sites stay in float32, in both site
profiles. The paper's codewords are those of a layer's input; where a layer multiplies first (GCN, GAT) they are those
of the product here, which is what is sent. Use it for graphs whose training does not fit into memory; it is no way to
integer arithmetic. Source: Ding et al., NeurIPS 2021 (arXiv 2110.14363).
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dqviz.methods.base import Method, RangeSettings
from dqviz.quant.codebook import Codebook
from dqviz.quant.convert import quantizers
from dqviz.quant.qtype import FLOAT_BITS
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import PARAMETERS, Site, Where
from dqviz.registry import Entry


class VqGnnSettings(RangeSettings):
    """Codewords and batches; the ranges are those of the weights."""

    codewords: int = Field(default=256, ge=2, le=32766, description="Codewords M of each 4 channels of a layer.")
    batch_nodes: int = Field(
        default=1024, ge=0, description="Nodes of a training batch of a node task; 0: the whole graph."
    )
    attention: Literal["uniform", "learned"] = Field(
        default="uniform",
        description="GAT: what nodes outside a batch give back as if they attended alike, or as their codewords tell.",
    )
    decay: float = Field(default=0.99, gt=0, lt=1, description="Decay of codewords' running means.")
    whitening: float = Field(
        default=0.1, gt=0, le=1, description="Momentum of the running mean and variance that whiten a channel."
    )


class VqGnn(Method):
    """Codebooks at MESSAGE, affine weights, and what nodes outside a batch return."""

    settings: VqGnnSettings

    def __init__(self, settings: VqGnnSettings) -> None:
        super().__init__(settings)
        self.batch_nodes = settings.batch_nodes

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        s = self.settings
        if where.site is Site.MESSAGE:
            return Codebook(self.scene, s.codewords, s.decay, s.whitening, self.patience(), s.attention == "learned")
        return super().quantizer(where, bits if where.site in PARAMETERS else FLOAT_BITS)

    def patience(self) -> int:
        """Steps that a codeword may be idle: the memory of its mean, and no node may still be assigned to it."""
        parts = math.ceil(self.scene.num_nodes / self.batch_nodes) if self.batch_nodes else 1
        return max(round(1 / (1 - self.settings.decay)), 2 * parts)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """What the nodes outside return; its value is 0, its gradient is not."""
        found = [q.take_returned() for q in quantizers(model) if isinstance(q, Codebook)]
        terms = [term for term in found if term is not None]
        return sum(terms[1:], terms[0]) if terms else None


ENTRY: Entry[Method] = Entry("vq-gnn", "VQ-GNN: neighbours as codewords, trained in parts of the graph.", VqGnn,
                             VqGnnSettings, cites=("ding2021",),
                             facts={"label": "VQ-GNN", "quantized": True, "integer": False})  # fmt: skip
