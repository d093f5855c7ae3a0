"""Small values, graphs and quantizers for the tests of the quantization core."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqviz import methods
from dqviz import nn as archs
from dqviz.data.task import csr
from dqviz.quant import QType, Quantizer, quantize
from dqviz.quant.observers import RunningMinMax, make_observer

CLASSES = 3
ARCHS = ("gcn", "gin", "gat", "sage")


def sparse(x: Tensor) -> Tensor:
    """CSR copy of dense x."""
    rows, columns = np.nonzero(x.numpy())
    ptr = np.concatenate([[0], np.bincount(rows, minlength=len(x)).cumsum()]).astype(np.int64)
    return csr(ptr, columns.astype(np.int64), x.numpy()[rows, columns], tuple(x.shape))


def rows(num_rows: int = 12, channels: int = 5, seed: int = 0, zeros: float = 0.6) -> Tensor:
    """Rows that are never negative and mostly zero."""
    torch.manual_seed(seed)
    return torch.rand(num_rows, channels) * (torch.rand(num_rows, channels) > zeros)


def edges(num_nodes: int = 12) -> Tensor:
    """Node 0 is a hub, node 1 sends twice, one self-loop, the last node is isolated."""
    ring = [(i, (i + 1) % (num_nodes - 1)) for i in range(num_nodes - 1)]
    hub = [(i, 0) for i in range(2, num_nodes - 1)]
    return torch.tensor([*ring, *hub, (3, 3)]).t().contiguous()


def observed(lo: float, hi: float, bits: int = 8, signed: bool = True, gradient: Any = "ste") -> Quantizer:
    """A quantizer in evaluation mode that has seen lo and hi."""
    quantizer = Quantizer(QType(bits, signed), RunningMinMax(), gradient)
    quantizer.observer.observe(torch.tensor([lo, hi]))
    return quantizer.eval()


def fresh(observer: str = "abs", bits: int = 8, signed: bool = True) -> Quantizer:
    return Quantizer(QType(bits, signed), make_observer(observer, bits))


def network(
    arch: str, method: str = "qat", bits: Any = 8, profile: Any = "paper", kind: Any = "node", **settings: Any
) -> nn.Module:
    """A quantized two-layer network on 5 features without dropout."""
    torch.manual_seed(0)
    model = archs.make(arch, 5, CLASSES, kind, {"hidden": 4, "dropout": 0.0, **settings})
    return quantize(model, methods.make(method, {}), bits, profile)
