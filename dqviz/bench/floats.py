"""A trained stack as float32 compositions: the same layers by torch CSR, FBGEMM or our own FP32 kernel.

Step names are those of the integer program, so that operations can be put side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, global_mean_pool
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.bench.peers import ENGINES, Product
from dqviz.integer.csr import from_edges, order_by_row
from dqviz.integer.graph import features_of


@dataclass(frozen=True)
class Step:
    """One timed part: `run` takes the output of the step before."""

    name: str
    run: Callable[[Any], Any]


def composition(stack: Any, engine: str, x: Tensor, edge_index: Tensor, batch: Tensor | None) -> list[Step]:
    """Steps of a stock GCN or GIN stack with `engine`; none for another architecture. The first takes `first_input`.

    Everything that depends only on the graph (normalisation, CSR) is made here, outside the timed part.
    """
    steps: list[Step] = []
    last = len(stack.convs) - 1
    for layer, conv in enumerate(stack.convs):
        relu = layer < last or stack.head is not None
        if isinstance(conv, GCNConv):
            steps += gcn_steps(conv, f"gcn/{layer}", engine, x, edge_index, relu)
        elif isinstance(conv, GINConv):
            steps += gin_steps(conv, f"gin/{layer}", engine, x, edge_index, relu)
        else:
            return []
    if stack.head is not None:
        arch = steps[0].name.split("/")[0]
        steps += [Step(f"{arch}/pool", lambda h: global_mean_pool(h, batch)), Step(f"{arch}/head", stack.head)]
    return steps


def gcn_steps(conv: Any, name: str, engine: str, x: Tensor, edge_index: Tensor, relu: bool) -> list[Step]:
    edges, weight = gcn_norm(edge_index, None, x.size(0), conv.improved, conv.add_self_loops)
    aggregate = product_of(engine, edges, weight, x.size(0))
    sparse = x.layout == torch.sparse_csr and name.endswith("/0")
    return [
        Step(f"{name}/gemm", sparse_linear(engine, x, conv.lin.weight) if sparse else conv.lin),
        Step(f"{name}/spmm", lambda h: activated(aggregate(h) + conv.bias, relu)),
    ]


def gin_steps(conv: Any, name: str, engine: str, x: Tensor, edge_index: Tensor, relu: bool) -> list[Step]:
    aggregate = product_of(engine, edge_index, torch.ones(edge_index.size(1)), x.size(0))
    own = 1 + conv.eps.item()
    groups = linear_groups(conv.nn)
    steps = [Step(f"{name}/sum", lambda h: aggregate(h) + own * h)]
    for index, group in enumerate(groups, start=1):
        final = index == len(groups) and relu
        steps.append(Step(f"{name}/gemm{index}", partial(finished, group, final)))
    return steps


def linear_groups(mlp: nn.Sequential) -> list[nn.Sequential]:
    """Each linear layer with what follows it up to the next."""
    groups: list[list[nn.Module]] = []
    for module in mlp:
        groups = [*groups, [module]] if isinstance(module, nn.Linear) else [*groups[:-1], [*groups[-1], module]]
    return [nn.Sequential(*group) for group in groups]


def finished(group: nn.Module, relu: bool, h: Tensor) -> Tensor:
    return activated(group(h), relu)


def activated(h: Tensor, relu: bool) -> Tensor:
    return F.relu(h) if relu else h


def first_input(stack: Any, x: Tensor) -> Tensor:
    """What the first step takes: a layer that sums rows before its product needs them dense."""
    return x.to_dense() if x.layout == torch.sparse_csr and isinstance(stack.convs[0], GINConv) else x


def product_of(engine: str, edge_index: Tensor, weight: Tensor, num_nodes: int) -> Product:
    """Adjacency (entries with weights) times a dense matrix."""
    source, target = edge_index.numpy()
    order, _ = order_by_row(target, num_nodes)
    return ENGINES[engine](from_edges(source, target, num_nodes), weight[torch.from_numpy(order)])


def sparse_linear(engine: str, x: Tensor, weight: Tensor) -> Callable[[Any], Any]:
    """x W^T for CSR features x."""
    rows: Any = features_of(x)
    multiply = ENGINES[engine](rows.pattern, torch.from_numpy(rows.values))
    turned = weight.detach().t().contiguous()
    return lambda _: multiply(turned)
