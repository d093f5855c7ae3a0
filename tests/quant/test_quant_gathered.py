"""GIN and SAGE on CSR features: the same numbers as on dense ones, and both those of torch_geometric's own layers."""

from __future__ import annotations

from collections.abc import Callable
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
from dqviz.quant.gathered import add_own, neighbour_mean, neighbour_sum
from dqviz.quant.hooks import Profile
from dqviz.quant.sparse import stored, with_values

NODES, FEATURES = 40, 12
DTYPES = {"sage": torch.float64}
Gather = Callable[[Tensor, Tensor], Tensor]
METHODS = [("fp32", {}), ("qat", {"observer": "abs"}), ("qat", {"observer": "per", "gradient": "gc"}),
           ("qat", {"quantizer": "lsq"}), ("nqat", {}), ("dq", {"p_min": 0.3, "p_max": 0.8})]  # fmt: skip


def example() -> tuple[Tensor, Tensor]:
    """Mostly zero rows (a few empty ones) and edges with duplicates, self-loops and isolated nodes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(NODES, FEATURES, generator=generator) - 0.3
    x[torch.rand(NODES, FEATURES, generator=generator) < 0.8] = 0
    x[3] = 0
    return x, torch.randint(0, NODES - 4, (2, 150), generator=generator)


def example_of(arch: str) -> tuple[Tensor, Tensor]:
    """For SAGE in float64: codes times codes fall on rounding ties, which the order of a float32 sum would decide."""
    x, edge_index = example()
    return x.to(DTYPES.get(arch, torch.float32)), edge_index


def sparse(x: Tensor) -> Tensor:
    found = csr_array(x.numpy())
    ptr, col = (part.astype(np.int64) for part in (found.indptr, found.indices))
    return csr_of(ptr, col, found.data, (x.size(0), x.size(1)))


def network(arch: str, method: str, settings: dict[str, Any], csr: bool, profile: Profile = "paper") -> nn.Module:
    torch.manual_seed(0)
    name, *options = arch.split("+")
    model = archs.make(name, FEATURES, 3, "node", {"hidden": 8, "dropout": 0.0, **dict.fromkeys(options, True)})
    model = quantize(model, methods.make(method, settings), 4, profile).to(DTYPES.get(arch, torch.float32))
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
@pytest.mark.parametrize("arch", ["gin", "gin+train_eps", "sage"])
def test_csr_rows_give_what_dense_rows_give(method: str, settings: dict[str, Any], arch: str) -> None:
    x, edge_index = example_of(arch)
    models = [network(arch, method, settings, csr) for csr in (True, False)]
    csr, dense = (trained(sparse(x), edge_index, model) for model in models)
    assert len(csr) == len(dense)
    # The gradient of a learned step is scaled by the number of values, and CSR rows hold fewer: Adam takes that out.
    learned = "quantizer" in settings
    for one, other in zip(csr[:4] if learned else csr, dense[:4] if learned else dense, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3 if learned else 1e-4, atol=1e-3 if learned else 1e-5)
    for one, other in zip(*(list(quantizers(model)) for model in models), strict=True):
        assert one.key == other.key
        assert one.range() == pytest.approx(other.range(), rel=1e-3 if learned else 1e-5, abs=1e-6)


@pytest.mark.parametrize("arch", ["gin", "sage"])
def test_profile_integer_sums_the_codes_that_entered(arch: str) -> None:
    x, edge_index = example_of(arch)
    found = [trained(sparse(x), edge_index, network(arch, "qat", {}, csr, "integer")) for csr in (True, False)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["gin", "sage"])
@pytest.mark.parametrize("csr", [True, False])
def test_full_precision_is_torch_geometrics_own_layer(arch: str, csr: bool) -> None:
    x, edge_index = example_of(arch)
    torch.manual_seed(0)
    stock = archs.make(arch, FEATURES, 3, "node", {"hidden": 8, "dropout": 0.0}).to(DTYPES.get(arch, torch.float32))
    for one, other in zip(trained(x, edge_index, stock),
                          trained(sparse(x), edge_index, network(arch, "fp32", {}, csr)), strict=True):  # fmt: skip
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("csr", [True, False])
@pytest.mark.parametrize(("arch", "gather"), [("gin", neighbour_sum), ("sage", neighbour_mean)])
def test_rows_are_gathered_as_torch_geometric_does(arch: str, gather: Gather, csr: bool) -> None:
    x, edge_index = example()
    conv: Any = archs.make(arch, FEATURES, 3, "node", {"hidden": 8}).convs[0]  # type: ignore[index, union-attr]
    expected = conv.aggr_module(x[edge_index[0]], edge_index[1], dim_size=NODES)
    found = gather(sparse(x) if csr else x, edge_index)
    assert (found.layout == torch.sparse_csr) == csr
    assert torch.equal(found.to_dense() if csr else found, expected)


def test_the_own_row_is_added() -> None:
    x, edge_index = example()
    rows = sparse(x)
    total = neighbour_sum(rows, edge_index)
    expected = torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
    assert torch.equal(add_own(total, rows, edge_index, torch.tensor([1.5])).to_dense(), expected + 1.5 * x)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_the_own_row_is_added_to_dense_rows(factor: float) -> None:
    total, own = (torch.rand(NODES, FEATURES, requires_grad=True) for _ in range(2))
    weight = torch.rand(NODES, FEATURES)
    by_hand, ours = ([part.detach().clone().requires_grad_() for part in (total, own, torch.tensor([factor]))]
                     for _ in range(2))  # fmt: skip
    found = add_own(ours[0], ours[1], torch.zeros(2, 0, dtype=torch.long), ours[2])
    expected = by_hand[0] + by_hand[2] * by_hand[1]
    torch.testing.assert_close(found, expected)
    for out in (found, expected):
        (out * weight).sum().backward()  # type: ignore[no-untyped-call]
    for one, other in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_structure_is_made_once() -> None:
    x, edge_index = example()
    rows = sparse(x)
    one, other = (neighbour_sum(rows, edge_index) for _ in range(2))
    assert one.crow_indices().data_ptr() == other.crow_indices().data_ptr()
    assert torch.equal(one.values(), other.values())


def test_another_graph_has_another_structure() -> None:
    x, edge_index = example()
    rows = sparse(x)
    other = edge_index.flip(0).contiguous()
    total = neighbour_sum(rows, other)
    assert torch.equal(total.to_dense(), torch.zeros_like(x).index_add(0, other[1], x[other[0]]))


def test_without_an_edge_only_the_own_row_is_left() -> None:
    x, _ = example()
    rows = sparse(x)
    nothing = torch.zeros(2, 0, dtype=torch.long)
    total = neighbour_sum(rows, nothing)
    assert not total.values().any()
    assert torch.equal(add_own(total, rows, nothing, torch.ones(1)).to_dense(), x)
    assert not neighbour_sum(x, nothing).any()
    assert not neighbour_mean(x, nothing).any()


@pytest.mark.parametrize("gather", [neighbour_sum, neighbour_mean])
def test_gradients_are_those_of_a_scatter(gather: Gather) -> None:
    x, edge_index = example()
    rows = sparse(x)
    values = rows.values().clone().requires_grad_()
    total = gather(with_values(rows, values), edge_index)
    weight = torch.rand(NODES, FEATURES, generator=torch.Generator().manual_seed(1))
    row = torch.arange(NODES).repeat_interleave(total.crow_indices().diff())
    (stored(total) * weight[row, total.col_indices()]).sum().backward()  # type: ignore[no-untyped-call]
    dense, scattered = (x.clone().requires_grad_() for _ in range(2))
    (gather(dense, edge_index) * weight).sum().backward()  # type: ignore[no-untyped-call]
    expected = torch.zeros_like(x).index_add(0, edge_index[1], scattered[edge_index[0]])
    if gather is neighbour_mean:
        expected = expected / torch.bincount(edge_index[1], minlength=NODES).clamp(min=1)[:, None]
    (expected * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert dense.grad is not None
    assert scattered.grad is not None
    torch.testing.assert_close(dense.grad, scattered.grad)
    torch.testing.assert_close(values.grad, scattered.grad[x != 0])
