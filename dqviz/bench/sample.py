"""Networks and features to time when there is no trained model: random weights, ranges calibrated on a small graph."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqviz import nn as archs
from dqviz.bench.graphs import heavy_tailed
from dqviz.data.task import csr
from dqviz.quant import QType, Quantizer, Where, quantize
from dqviz.quant.observers import make_observer
from dqviz.quant.scene import Scene
from dqviz.quant.where import NEVER_NEGATIVE

NUM_FEATURES, HIDDEN, CLASSES, LAYERS = 128, 256, 40, 3
"""A network of ogbn-arxiv's sizes: 128-256-256-40."""
HEADS = 4
"""Of GAT, whose hidden channels are those of all heads together: 4 x 64."""


class MinMax:
    """The least a method must answer: min/max ranges, nothing protected."""

    def __init__(self) -> None:
        self.scene = Scene()

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        return Quantizer(QType(bits, signed=where.site not in NEVER_NEGATIVE), make_observer("abs", bits))

    def protection(self) -> None:
        return None


def sample_model(arch: str, bits: int | None) -> nn.Module:
    """Stock network (`bits` None) or one quantized in profile `integer` and calibrated; the same weights for a seed."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    wide = {"hidden": HIDDEN // HEADS, "heads": HEADS} if arch == "gat" else {"hidden": HIDDEN}
    settings: dict[str, Any] = {**wide, "layers": LAYERS, "dropout": 0.0}
    model: nn.Module = archs.make(arch, NUM_FEATURES, CLASSES, "node", settings)
    torch.random.set_rng_state(generator_state)
    if bits is None:
        return model.eval()
    quantize(model, MinMax(), bits, "integer")
    graph = heavy_tailed("calibration", 2_000, 30_000)
    with torch.no_grad():
        model.train()(sample_features(graph.num_nodes), graph.edge_index)
    return uncached(model).eval()


def uncached(model: nn.Module) -> nn.Module:
    """A copy that has forgotten the normalisation of the graph it last saw."""
    copy: Any = deepcopy(model)
    for module in copy.modules():
        if hasattr(module, "_cached_edge_index"):
            module._cached_edge_index = None
    return copy  # type: ignore[no-any-return]


def sample_features(num_nodes: int, like: Tensor | None = None) -> Tensor:
    """Random features [num_nodes, 128], or of the width, layout and density of `like`; seeded."""
    if like is None or like.layout != torch.sparse_csr:
        width = NUM_FEATURES if like is None else like.size(1)
        return torch.randn(num_nodes, width, generator=torch.Generator().manual_seed(0)).relu()
    rng = np.random.default_rng(0)
    row = max(1, like.values().numel() // like.size(0))
    column = np.sort(rng.integers(0, like.size(1) - row + 1, (num_nodes, row)), axis=1) + np.arange(row)
    values = rng.choice(like.values().numpy(), num_nodes * row)
    return csr(np.arange(num_nodes + 1, dtype=np.int64) * row, column.reshape(-1), values, (num_nodes, like.size(1)))
