"""The trained network in integer arithmetic: the classes it predicts, or why it cannot be run so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dqviz import integer, quant
from dqviz.errors import DqvizError
from dqviz.training.batches import Batch


@dataclass(frozen=True)
class IntegerRun:
    """Logits of all rows of a batch with the operations that made them, or None with the reason in one sentence.

    `note`: what a person must know to read the result, such as sites that the program leaves out.
    """

    logits: Tensor | None = None
    reason: str | None = None
    operations: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""


def integer_run(model: nn.Module, batch: Batch) -> IntegerRun:
    """Runs a batch through the integer program of a trained model."""
    if all(quantizer.qtype.is_float for quantizer in quant.quantizers(model)):
        return IntegerRun(reason="A full-precision network has no codes to run.")
    try:
        session = integer.Session(integer.plan(model))
        logits = session.run(batch.x, batch.edge_index, batch.batch)
    except DqvizError as reason:
        return IntegerRun(reason=str(reason))
    return IntegerRun(torch.as_tensor(logits), operations=session.describe(), note=" ".join(session.plan.notes))
