"""Mean bits and bytes of what a network holds, against counts by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dqviz import methods
from dqviz import nn as archs
from dqviz.data.task import csr
from dqviz.jobs.sizes import sizes
from dqviz.quant import quantize
from dqviz.training.batches import Batch
from dqviz.training.trace import record

NODES, FEATURES, HIDDEN, CLASSES = 6, 5, 4, 3
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])


def found(x: torch.Tensor, bits: Any, profile: Any, method: str = "qat") -> dict[str, float | None]:
    torch.manual_seed(0)
    model = quantize(archs.make("gcn", FEATURES, CLASSES, "node", {"hidden": HIDDEN, "dropout": 0.0}),
                     methods.make(method), bits, profile)  # fmt: skip
    model.train()(x, EDGES)
    batch = Batch(x, EDGES, None, torch.zeros(NODES, dtype=torch.long), torch.arange(NODES))
    return sizes(list(record(model, batch)[1].values()), x)


def test_one_width_is_the_mean_of_all() -> None:
    """Profile `integer`: features FEATURE 0, INPUT 1, FEATURE 1 of 6 nodes, 4 bits each."""
    sizes = found(torch.rand(NODES, FEATURES), 4, "integer")
    assert sizes["feature_bits"] == sizes["tensor_bits"] == 4
    assert sizes["feature_bytes"] == NODES * (HIDDEN + HIDDEN + CLASSES) * 4 / 8


def test_weights_and_features_count_by_their_values() -> None:
    """Weights 5 x 4 and 4 x 3 at 8 bits; the data set's features count among all tensors, not among features."""
    sizes = found(torch.rand(NODES, FEATURES), {"default": 2, "weight": 8, "0/feature": 4, "norm": 32}, "integer")
    feature, hidden, last = NODES * HIDDEN, NODES * HIDDEN, NODES * CLASSES
    assert sizes["feature_bits"] == pytest.approx((feature * 4 + (hidden + last) * 2) / (feature + hidden + last))
    weights = FEATURES * HIDDEN + HIDDEN * CLASSES
    values = NODES * FEATURES + feature + hidden + last + weights
    bits = NODES * FEATURES * 2 + feature * 4 + (hidden + last) * 2 + weights * 8
    assert sizes["tensor_bits"] == pytest.approx(bits / values)


def test_of_sparse_features_the_stored_values_count() -> None:
    x = csr(np.arange(NODES + 1), np.array([0, 1, 2, 3, 4, 0]), np.ones(NODES, np.float32), (NODES, FEATURES))
    dense = found(x.to_dense(), {"default": 4, "input": 8, "1/input": 4}, "integer")
    sparse = found(x, {"default": 4, "input": 8, "1/input": 4}, "integer")
    assert sparse["feature_bits"] == dense["feature_bits"] == 4
    assert sparse["tensor_bits"] < dense["tensor_bits"]


def test_a_site_that_a_method_leaves_in_float_counts_32_bits() -> None:
    """FP32 asks for 4 bits here and takes none."""
    sizes = found(torch.rand(NODES, FEATURES), 4, "integer", "fp32")
    assert sizes["feature_bits"] is None
    assert sizes["tensor_bits"] == 32


def test_rows_of_graphs_are_no_features() -> None:
    """The classifier of a graph task reads one row a graph."""
    torch.manual_seed(0)
    x, of_one_graph = torch.rand(NODES, FEATURES), torch.zeros(NODES, dtype=torch.long)
    model = quantize(archs.make("gcn", FEATURES, CLASSES, "graph", {"hidden": HIDDEN, "dropout": 0.0}),
                     methods.make("qat"), {"default": 4, "2/input": 8}, "integer")  # fmt: skip
    model.train()(x, EDGES, of_one_graph)
    batch = Batch(x, EDGES, of_one_graph, torch.zeros(1, dtype=torch.long), torch.arange(1))
    seen = list(record(model, batch)[1].values())
    assert any(len(one.x) == 1 for one in seen), "the classifier is a site"
    assert sizes(seen, x)["feature_bits"] == 4
