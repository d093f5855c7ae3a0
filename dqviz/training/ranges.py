"""Ranges of all quantizers over the epochs of a training (table `sites`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dqviz.quant import Quantizer, quantizers

MAX_SNAPSHOTS = 200


class RangeLog:
    """Takes a snapshot of every quantizer's range after an epoch; at most about 200 of them."""

    def __init__(self, model: nn.Module, epochs: int) -> None:
        self.quantizers: list[Quantizer] = [q for q in quantizers(model) if not q.qtype.is_float]
        self.every = max(1, -(-epochs // MAX_SNAPSHOTS))
        self.snapshots: dict[int, Tensor] = {}

    @torch.no_grad()
    def take(self, epoch: int, always: bool = False) -> None:
        if self.quantizers and (always or epoch % self.every == 0):
            self.snapshots[epoch] = torch.tensor([[*q.range(), *q.qparams()] for q in self.quantizers])

    def rows(self) -> list[dict[str, Any]]:
        """One row a site and snapshot, columns of TABLES['sites']."""
        return [
            {"epoch": epoch, "key": q.key, "layer": q.where.layer, "part": q.where.part, "site": str(q.where.site),
             "bits": q.qtype.bits, "lo": lo, "hi": hi, "scale": scale, "zero_point": int(zero_point)}
            for epoch, table in sorted(self.snapshots.items())
            for q, (lo, hi, scale, zero_point) in zip(self.quantizers, table.tolist(), strict=True)
            if q.where is not None
        ]  # fmt: skip
