"""What every site of a network sees in one evaluation pass, with its quantizers on and with them off (the twin)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dqviz.quant import Quantizer, quantizers, twin
from dqviz.quant.passes import Copies
from dqviz.training.batches import Batch


@dataclass(frozen=True)
class Recorded:
    """One site: the value that arrives, what leaves, the node of each row (None: the row's own number), and how many
    values each row's stand for (`Quantizer.copies`)."""

    quantizer: Quantizer
    x: Tensor
    xq: Tensor
    node: Tensor | None
    copies: Copies | None = None


def record(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Recorded]]:
    """Logits of all rows and the record of every site by key, in order of execution, for one evaluation pass."""
    seen: dict[str, Recorded] = {}

    def take(quantizer: Quantizer, x: Tensor, xq: Tensor, node: Tensor | None) -> None:
        seen[quantizer.key] = Recorded(quantizer, x, xq, node, quantizer.copies)

    watched = list(quantizers(model))
    for quantizer in watched:
        quantizer.recorder = take
    try:
        with torch.no_grad():
            logits = model.eval()(*batch.inputs)
    finally:
        for quantizer in watched:
            quantizer.recorder = None
    return logits, seen


def trace(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, list[tuple[Recorded, Tensor]]]:
    """(logits, the twin's logits, each site's record with the value the twin has there)."""
    with twin(model):
        twin_logits, reference = record(model, batch)
    logits, seen = record(model, batch)
    return logits, twin_logits, [(recorded, reference[key].x) for key, recorded in seen.items()]
