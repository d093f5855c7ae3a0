"""GIN's first layer on CSR features: the same numbers as on dense ones, in training and at evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from dqviz import methods
from dqviz import nn as archs
from dqviz.data.task import csr as csr_of
from dqviz.quant import quantize, quantizers
from dqviz.quant.gathered import add_own, neighbour_sum
from dqviz.quant.sparse import stored, with_values

NODES, FEATURES = 40, 12
METHODS = [("fp32", {}), ("qat", {"observer": "abs"}), ("qat", {"observer": "per", "gradient": "gc"}),
           ("qat", {"quantizer": "lsq"}), ("nqat", {}), ("dq", {"p_min": 0.3, "p_max": 0.8})]  # fmt: skip


def example() -> tuple[Tensor, Tensor]:
    """Mostly zero rows (a few empty ones) and edges with duplicates, self-loops and isolated nodes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(NODES, FEATURES, generator=generator) - 0.3
    x[torch.rand(NODES, FEATURES, generator=generator) < 0.8] = 0
    x[3] = 0
    return x, torch.randint(0, NODES - 4, (2, 150), generator=generator)


def sparse(x: Tensor) -> Tensor:
    found = csr_array(x.numpy())
    ptr, col = (part.astype(np.int64) for part in (found.indptr, found.indices))
    return csr_of(ptr, col, found.data, (x.size(0), x.size(1)))


def network(method: str, settings: dict[str, Any], csr: bool, **arch: Any) -> nn.Module:
    torch.manual_seed(0)
    model = archs.make("gin", FEATURES, 3, "node", {"hidden": 8, "dropout": 0.0, **arch})
    model = quantize(model, methods.make(method, settings), 4, arch.pop("profile", "paper"))
    model.convs[0].takes_csr = csr  # type: ignore[index, union-attr]
    return model


def trained(x: Tensor, edge_index: Tensor, model: nn.Module) -> list[Tensor]:
    """Logits of three training steps and of an evaluation, and every gradient of the last step."""
    found = []
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(3):
        torch.manual_seed(step)
        adam.zero_grad()
        out = model.train()(x, edge_index)
        found.append(out.detach())
        nn.functional.cross_entropy(out, torch.arange(NODES) % 3).backward()
        adam.step()
    with torch.no_grad():
        found.append(model.eval()(x, edge_index))
    return [*found, *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize(("method", "settings"), METHODS)
@pytest.mark.parametrize("train_eps", [False, True])
def test_csr_rows_give_what_dense_rows_give(method: str, settings: dict[str, Any], train_eps: bool) -> None:
    x, edge_index = example()
    models = [network(method, settings, csr, train_eps=train_eps) for csr in (True, False)]
    csr, dense = (trained(sparse(x), edge_index, model) for model in models)
    assert len(csr) == len(dense)
    # The gradient of a learned step is scaled by the number of values, and CSR rows hold fewer: Adam takes that out.
    learned = "quantizer" in settings
    for one, other in zip(csr[:4] if learned else csr, dense[:4] if learned else dense, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3 if learned else 1e-4, atol=1e-3 if learned else 1e-5)
    for one, other in zip(*(list(quantizers(model)) for model in models), strict=True):
        assert one.key == other.key
        assert one.range() == pytest.approx(other.range(), rel=1e-3 if learned else 1e-5, abs=1e-6)


def test_profile_integer_sums_the_codes_that_entered() -> None:
    x, edge_index = example()
    found = []
    for csr in (True, False):
        torch.manual_seed(0)
        model = archs.make("gin", FEATURES, 3, "node", {"hidden": 8, "dropout": 0.0})
        quantize(model, methods.make("qat", {}), 4, "integer")
        model.convs[0].takes_csr = csr
        found.append(trained(sparse(x), edge_index, model))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_sum_is_that_of_the_dense_rows() -> None:
    x, edge_index = example()
    rows = sparse(x)
    total, found = neighbour_sum(rows, edge_index)
    expected = torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
    assert torch.equal(total.to_dense(), expected)
    assert torch.equal(add_own(total, found, rows, torch.tensor([1.5])).to_dense(), expected + 1.5 * x)
    again, same = neighbour_sum(rows, edge_index)
    assert same is found
    assert torch.equal(again.values(), total.values())


def test_another_graph_has_another_structure() -> None:
    x, edge_index = example()
    rows = sparse(x)
    other = edge_index.flip(0).contiguous()
    total, _ = neighbour_sum(rows, other)
    assert torch.equal(total.to_dense(), torch.zeros_like(x).index_add(0, other[1], x[other[0]]))


def test_without_an_edge_only_the_own_row_is_left() -> None:
    x, _ = example()
    rows = sparse(x)
    total, found = neighbour_sum(rows, torch.zeros(2, 0, dtype=torch.long))
    assert not total.values().any()
    assert torch.equal(add_own(total, found, rows, torch.ones(1)).to_dense(), x)


def test_the_gradient_of_a_sum_is_that_of_the_dense_rows() -> None:
    x, edge_index = example()
    rows = sparse(x)
    values = rows.values().clone().requires_grad_()
    total, _ = neighbour_sum(with_values(rows, values), edge_index)
    weight = torch.rand(NODES, FEATURES, generator=torch.Generator().manual_seed(1))
    row = torch.arange(NODES).repeat_interleave(total.crow_indices().diff())
    (stored(total) * weight[row, total.col_indices()]).sum().backward()
    dense = x.clone().requires_grad_()
    (torch.zeros_like(x).index_add(0, edge_index[1], dense[edge_index[0]]) * weight).sum().backward()
    assert values.grad is not None
    assert dense.grad is not None
    torch.testing.assert_close(values.grad, dense.grad[x != 0])
