"""Quantized models for the tests: calibrated on random features of a contract graph, or trained on a data set."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqviz import data, methods
from dqviz import nn as archs
from dqviz.data import Task
from dqviz.integer.csr import Csr
from dqviz.quant import quantize
from dqviz.spec import Optimizer
from dqviz.training import train


def edges_of(matrix: Csr) -> Tensor:
    """edge_index of a contract graph."""
    return torch.from_numpy(np.stack([matrix.indices.astype(np.int64), matrix.row_of_entry()]))


def calibrated(
    arch: str,
    kind: Any,
    edge_index: Tensor,
    x: Tensor,
    *,
    bits: Any = 8,
    profile: Any = "integer",
    classes: int = 3,
    batch: Tensor | None = None,
    **settings: Any,
) -> nn.Module:
    """Random weights whose quantizers have seen x three times; batch norm has moved statistics."""
    torch.manual_seed(0)
    model = archs.make(arch, x.size(1), classes, kind, {"hidden": 13, "dropout": 0.0, **settings})
    return quantized(model, edge_index, x, bits, profile, batch)


def quantized(
    model: nn.Module,
    edge_index: Tensor,
    x: Tensor,
    bits: Any = 8,
    profile: Any = "integer",
    batch: Tensor | None = None,
) -> nn.Module:
    """Any stack of stock layers, calibrated."""
    torch.manual_seed(0)
    quantize(model, methods.make("qat", {"observer": "abs"}), bits, profile)
    with torch.no_grad():
        for _ in range(3):
            model.train()(x, edge_index, batch) if batch is not None else model.train()(x, edge_index)
    return model.eval()


@cache
def trained(dataset: str, arch: str, bits: int, profile: Any = "integer", epochs: int = 60) -> tuple[nn.Module, Task]:
    """A QAT model with best validation weights, and its task."""
    task = data.load(dataset)
    torch.manual_seed(0)
    method = methods.make("qat")
    model = archs.make(arch, task.num_features, task.num_classes, task.kind, {})
    quantize(model, method, bits, profile)
    train(model, task, method, Optimizer(), epochs)
    return model, task


def doubled(model: nn.Module) -> nn.Module:
    """A copy in float64 that keeps the normalisation it has computed in float32 (the codes of NORM are made of it)."""
    copy: Any = deepcopy(model).double()
    for module in copy.modules():
        if getattr(module, "_cached_edge_index", None) is not None:
            edge_index, weight = module._cached_edge_index
            module._cached_edge_index = edge_index, weight.double()
    return copy  # type: ignore[no-any-return]
