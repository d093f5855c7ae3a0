"""What the weight gradient of every linear layer is made of, row by row, in one pass forward and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dqviz.quant import Quantizer, QuantLinear
from dqviz.training.batches import Batch


@dataclass(frozen=True)
class LayerGradient:
    """dL/dW of one linear layer is passed * sum over rows v of dy_v x_v^T.

    `weights` stands at its weights. x [num_nodes, in] dense or CSR, as it enters the product; dy [num_nodes, out];
    passed [out, in], the derivative of the quantized weights by the weights.
    """

    weights: Quantizer
    x: Tensor
    dy: Tensor
    passed: Tensor


def layer_gradients(model: nn.Module, batch: Batch) -> list[LayerGradient]:
    """Of the cross-entropy summed over the scored rows of `batch`, at the model's weights and in its present mode.

    Only linear layers whose rows are nodes: those of a graph task's classifier are graphs.
    """
    linears = [part for part in model.modules() if isinstance(part, QuantLinear)]
    seen: dict[Quantizer, tuple[Tensor, Tensor]] = {}

    def take(quantizer: Quantizer, x: Tensor, xq: Tensor, _node: Tensor | None) -> None:
        seen[quantizer] = x, xq

    watched = [quantizer for one in linears for quantizer in (one.input_q, one.weight_q, one.feature_q)]
    for quantizer in watched:
        quantizer.recorder = take
    try:
        logits = model(*batch.inputs)
    finally:
        for quantizer in watched:
            quantizer.recorder = None
    linears = [one for one in linears if seen[one.input_q][0].size(0) == batch.x.size(0)]
    loss = F.cross_entropy(logits[batch.scored], batch.y[batch.scored], reduction="sum")
    ends = torch.autograd.grad(loss, [seen[one.feature_q][0] for one in linears], retain_graph=True)
    return [
        LayerGradient(one.weight_q, seen[one.input_q][1].detach(), dy, passed(*seen[one.weight_q]))
        for one, dy in zip(linears, ends, strict=True)
    ]


def passed(weights: Tensor, quantized: Tensor) -> Tensor:
    """Derivative of each quantized weight by its own weight [out, in]; quantizers of weights act element by element."""
    if quantized is weights:
        return torch.ones_like(weights)
    return torch.autograd.grad(quantized, weights, torch.ones_like(quantized))[0]
