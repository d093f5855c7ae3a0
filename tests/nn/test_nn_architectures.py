"""Architectures: sizes, CSR features, edge cases of a graph, and neighbour sums against torch_geometric's own."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv
from torch_geometric.nn.aggr import SumAggregation

from dqviz import nn as archs
from dqviz.data.task import csr
from dqviz.errors import BadInput
from dqviz.nn import ARCHS
from dqviz.nn.neighbours import NeighbourSum
from dqviz.nn.propagation import Propagate
from dqviz.nn.stack import drop

STOCK = {"gcn": GCNConv, "gin": GINConv, "gat": GATConv, "sage": SAGEConv, "appnp": Propagate, "smp": Propagate}
A_STEP = {"smp": 2}
"""Layers of one step, where it is more than one."""
EDGES = torch.tensor([[0, 1, 2, 3, 3, 5], [1, 2, 0, 0, 0, 5]])  # a parallel edge, a self-loop, node 4 isolated


def sparse(x: Tensor) -> Tensor:
    row, column = np.nonzero(x.numpy())
    ptr = np.concatenate([[0], np.bincount(row, minlength=len(x)).cumsum()]).astype(np.int64)
    return csr(ptr, column.astype(np.int64), x.numpy()[row, column], tuple(x.shape))


def features(num_nodes: int = 6) -> Tensor:
    torch.manual_seed(2)
    return torch.rand(num_nodes, 7) * (torch.rand(num_nodes, 7) > 0.5)


def make(arch: str, kind: str = "node", **settings: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return archs.make(arch, 7, 3, kind, settings)


@pytest.mark.parametrize("arch", ARCHS.names())
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_layers_are_stock(arch: str, layers: int) -> None:
    model = make(arch, layers=layers)
    assert [type(conv) for conv in model.convs] == [STOCK[arch]] * layers * A_STEP.get(arch, 1)
    assert model.eval()(features(), EDGES).shape == (6, 3)


@pytest.mark.parametrize("arch", ARCHS.names())
def test_graph_tasks_end_in_one_row_a_graph(arch: str) -> None:
    model = make(arch, "graph").eval()
    together = model(features(), EDGES, torch.tensor([0, 0, 0, 0, 1, 1]))
    assert together.shape == (2, 3)
    first = model(features()[:4], EDGES[:, :5], torch.zeros(4, dtype=torch.long))
    assert torch.allclose(together[:1], first, atol=1e-5)


@pytest.mark.parametrize("arch", ARCHS.names())
@pytest.mark.parametrize("edges", [EDGES, EDGES[:, :0]], ids=["some", "none"])
def test_csr_rows_give_what_dense_ones_give(arch: str, edges: Tensor) -> None:
    from dqviz import methods
    from dqviz.quant import quantize

    model = quantize(make(arch), methods.make("fp32", {}), 32).eval()
    assert torch.allclose(model(sparse(features()), edges), deepcopy(model)(features(), edges), atol=1e-5)


def test_gat_heads() -> None:
    node, graph = make("gat", heads=4, hidden=5), make("gat", "graph", heads=4, hidden=5)
    assert [(c.heads, c.out_channels) for c in node.convs] == [(4, 5), (1, 3)]
    assert [(c.heads, c.out_channels) for c in graph.convs] == [(4, 5), (4, 5)]


def test_gin_settings() -> None:
    model = make("gin", train_eps=True, batch_norm=True)
    assert isinstance(model.convs[0].eps, torch.nn.Parameter)
    assert any(isinstance(m, torch.nn.BatchNorm1d) for m in model.modules())


def test_gin_of_the_benchmark_by_hand() -> None:
    """Product, ReLU, product, ReLU, batch norm in each layer and nothing between them; two products behind the mean."""
    model = make("gin", "graph", benchmark=True, layers=2, hidden=4, dropout=0.9).train()
    x, edge_index = torch.randn(6, 7), torch.tensor([[0, 1, 3, 4], [1, 2, 4, 5]])
    batch = torch.tensor([0, 0, 0, 1, 1, 1])
    rows = x
    for conv in model.convs:
        total = torch.zeros_like(rows).index_add(0, edge_index[1], rows[edge_index[0]]) + rows
        inner, outer, norm = conv.nn[0], conv.nn[2], conv.nn[4]
        kept = outer(inner(total).relu()).relu()
        rows = (kept - kept.mean(0)) / (kept.var(0, unbiased=False) + norm.eps).sqrt()
    hidden = model.head[0](torch.stack([rows[:3].mean(0), rows[3:].mean(0)])).relu()
    torch.manual_seed(5)
    logits = model(x, edge_index, batch)
    torch.manual_seed(5)
    assert torch.allclose(logits, model.head[3](torch.nn.functional.dropout(hidden, 0.9)), atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in make("gin", benchmark=True).modules())


@pytest.mark.parametrize(
    ("arch", "settings", "words"),
    [("mlp", {}, "gat, gcn, gin, sage"), ("gcn", {"layers": 0}, "layers"), ("gcn", {"dropout": 1.0}, "dropout"),
     ("gcn", {"heads": 2}, "heads"), ("gat", {"heads": 0}, "heads")],
)  # fmt: skip
def test_what_does_not_fit_is_refused(arch: str, settings: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        archs.make(arch, 7, 3, "node", settings)


@pytest.mark.parametrize("num_edges", [0, 1, 50])
def test_neighbour_sums_are_torch_geometrics(num_edges: int) -> None:
    torch.manual_seed(0)
    index = torch.randint(0, 8, (num_edges,))
    ours, theirs = (torch.randn(num_edges, 5, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    grad = torch.randn(9, 5)
    for x, aggregation in ((ours, NeighbourSum()), (theirs, SumAggregation())):
        out = aggregation(x.requires_grad_(), index, dim_size=9)
        out.backward(grad)
        assert torch.allclose(out, torch.zeros(9, 5).index_add(0, index, x.detach()), atol=1e-5)
    assert torch.equal(ours.grad, theirs.grad)


def test_a_copy_does_not_trust_an_address_it_does_not_keep() -> None:
    """The copy lives on, the original's graph is freed, and another graph comes to lie at its address."""
    original = NeighbourSum()
    index = torch.tensor([0, 0, 1, 2])
    x = torch.arange(8.0).view(4, 2)
    original(x, index, dim_size=3)
    copy = deepcopy(original)
    index.copy_(torch.tensor([2, 2, 2, 2]))  # what the allocator does behind our back
    assert copy(x, index, dim_size=3).tolist() == [[0, 0], [0, 0], [12, 16]]


@pytest.mark.parametrize("make_rows", [lambda x: x, sparse])
def test_dropout_keeps_the_expectation(make_rows: object) -> None:
    torch.manual_seed(0)
    x = make_rows(torch.ones(200, 50))
    out = drop(x, 0.4, True)
    dense = out.to_dense() if out.layout == torch.sparse_csr else out
    assert dense.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert dense.mean().item() == pytest.approx(1, abs=0.05)
    assert drop(x, 0.4, False) is x
    assert drop(x, 0.0, True) is x
