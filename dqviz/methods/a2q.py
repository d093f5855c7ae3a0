"""A2Q: every node learns the step and the bit width of its features, so that bits go where the error is.

Node i holds its rows in symmetric codes of b_i bits with step s_i (`dqviz/quant/stepped.py`); weights and what is sent
to neighbours (x W; of GIN and SAGE the row itself) have a learned step for each output column and the run's bits, with
which nodes begin as well. A penalty pulls widths down, M in kilobytes:

    L = L_task + a relu(sum over layers and nodes of dim b_i / 8192 - M)^2

On node tasks s and b follow the error of their own row, because few nodes are labelled; on graph tasks they follow the
loss, there are 1,000 pairs (s, b) among which each node takes the nearest, and the penalty adds up the pairs taken. As
published, the data set's own features and sums over neighbours stay float; `sites: all` quantizes every site of the
profile, edges and attention as in `qat`. Use it where features must be small. A node's own pair is not among its
counted bits, here and in the paper: in float32 a step alone is 2 bits a value at 16 channels.

Rates of steps and weight decay are in the unit of the values, and the authors' belong to features of 0 and 1: give
`dataset.row_normalize=false` with them. Of rows divided by their sum, eighteen times smaller on Cora, the same settings
learn nothing (GCN on Cora, 4 bits, validation accuracy: 31.5 % and 80.0 %).

In integers, profile `integer` with `sites: all`: GCN, and GIN where the data set's features are 0 and one other value.
Steps of columns are part of multipliers and those of nodes factors of a product's rows; where sums become a node's
codes, numpy multiplies by both and clips to the node's own width. With the published sites it says no: coefficients of
edges, or rows that are summed, are float there. GAT's attention and SAGE's root product read columns of unlike steps,
which no sum of integers can absorb, and say so as well.

Different from the authors' code: first steps come from the first batch; a code has at least 1 bit besides its sign
(there it may have none) and at most 8; GAT's x W has steps of columns and its attention is quantized as in `qat`. The
authors keep the epoch that is best on the TEST split; here as everywhere validation chooses. Source: Zhu et al., ICLR
2023 (arXiv 2302.00193), and the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from dqviz.methods.base import Method, RangeSettings, rates_apart
from dqviz.quant.convert import QuantLinear, quantizers
from dqviz.quant.nodewise import ColumnQuantizer, NodewiseQuantizer, ReachRows
from dqviz.quant.qtype import FLOAT_BITS, QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.where import PARAMETERS, Site, Where
from dqviz.registry import Entry, Settings

KILOBYTE = 8192
"""Bits."""


class A2qSettings(Settings):
    """Learning rates and penalty: those of the authors for GCN on Cora."""

    gradient: Literal["auto", "local", "task"] = Field(
        default="auto",
        description="What steps and bits of nodes follow: the error of their own row (local), the loss (task); auto is "
        "local on node tasks and task on graph tasks.",
    )
    penalty: float = Field(default=2.5, ge=0, le=1000, description="Weight a of the memory penalty.")
    memory_kb: float = Field(default=5.0, ge=0, description="Memory M of all features that the penalty allows, in KB.")
    pairs: int = Field(
        default=1000, ge=1, le=100_000, description="Pairs of step and bits that nodes of graph tasks choose among."
    )
    sites: Literal["published", "all"] = Field(
        default="published", description="Sites quantized: the published ones, or all of the site profile."
    )
    step_lr: float = Field(default=0.04, gt=0, le=1, description="Learning rate of the nodes' steps.")
    bits_lr: float = Field(default=0.1, gt=0, le=1, description="Learning rate of the nodes' bits.")
    weight_step_lr: float = Field(default=0.02, gt=0, le=1, description="Learning rate of the weights' steps.")
    feature_step_lr: float = Field(default=0.008, gt=0, le=1, description="Learning rate of the steps of x W.")


class A2q(Method):
    """Nodes with learned bits, columns with learned steps, a penalty on memory."""

    def __init__(self, settings: A2qSettings) -> None:
        super().__init__(RangeSettings(observer="abs"))
        self.own = settings

    @property
    def by_node(self) -> bool:
        """A node task's graph is known: each of its nodes owns a pair."""
        return self.scene.num_nodes > 0

    @property
    def local(self) -> bool:
        return self.by_node if self.own.gradient == "auto" else self.own.gradient == "local"

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        if bits >= FLOAT_BITS or (self.own.sites == "published" and not published(where)):
            return super().quantizer(where, FLOAT_BITS)
        qtype = QType(bits)
        if where.site is Site.WEIGHT:
            return ColumnQuantizer(qtype, axis=0, local=False)
        if where.edges or where.site in PARAMETERS:
            return super().quantizer(where, bits)
        if where.of_data_set:
            return ReachRows(qtype)
        if where.site in {Site.FEATURE, Site.MESSAGE}:
            return ColumnQuantizer(qtype, axis=1, local=self.local)
        return NodewiseQuantizer(qtype, self.scene.num_nodes or self.own.pairs, self.by_node, self.local)

    def penalty(self, model: nn.Module) -> Tensor | None:
        sizes = [channels * q.total_width() for q, channels in learned_rows(model)]
        if not sizes or self.own.penalty == 0:
            return None
        memory = sum(sizes[1:], sizes[0]) / KILOBYTE
        return self.own.penalty * (memory - self.own.memory_kb).relu().square()

    def parameter_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Steps and bits have learning rates of their own and no weight decay."""
        s = self.own
        nodes = [q for q in quantizers(model) if isinstance(q, NodewiseQuantizer)]
        columns = [q for q in quantizers(model) if isinstance(q, ColumnQuantizer)]
        learned = [
            ([q.step for q in nodes], s.step_lr),
            ([q.width for q in nodes], s.bits_lr),
            ([q.step for q in columns if q.axis == 0], s.weight_step_lr),
            ([q.step for q in columns if q.axis == 1], s.feature_step_lr),
        ]
        return rates_apart(model, lr, weight_decay, learned)


def published(where: Where) -> bool:
    """Whether the authors quantize there: products and what enters them, attention; not sums, not the data's own."""
    if where.site in {Site.AGGREGATE, Site.UPDATE, Site.NORM} or (where.site is Site.MESSAGE and where.edges):
        return False
    return not where.of_data_set


def learned_rows(model: nn.Module) -> Iterator[tuple[NodewiseQuantizer, float]]:
    """Sites of learned bits with the values of a row.

    What enters the first layer's product counts as wide as what leaves it, as in the authors' code: it is as wide as
    the data set's features, and would be all that counts. Products after it read hidden rows and count as they are.
    """
    linears = (m for m in model.modules() if isinstance(m, QuantLinear))
    first = [linear for linear in linears if linear.input_q.where and linear.input_q.where.layer == 0]
    wide = first[0].in_channels if first else 0
    entering = {id(one.input_q): float(one.out_channels) for one in first if one.in_channels == wide}
    for q in quantizers(model):
        if isinstance(q, NodewiseQuantizer):
            yield q, entering.get(id(q), q.channels)


ENTRY: Entry[Method] = Entry("a2q", "A2Q: each node learns its step and its bits; columns learn their steps.",
                             A2q, A2qSettings, cites=("zhu2023a2q",),
                             facts={"label": "A2Q", "quantized": True})  # fmt: skip
