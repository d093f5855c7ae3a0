"""A trained stack as float32 compositions: the same layers by torch CSR, FBGEMM or our own FP32 kernel.

Written to be as fast as float32 gets: a layer sums neighbours on whichever side of its product has fewer channels
(A (X W) = (A X) W; a quantized network cannot choose, its sites stand between the two), a node's own term is an entry
of the matrix, activations work in place. Step names are those of the integer program where both have the step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv, global_mean_pool
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.bench.attention import Attention
from dqviz.bench.propagation import propagation_steps
from dqviz.bench.steps import Place, Step
from dqviz.nn.propagation import Propagation


def composition(stack: Any, engine: str, x: Tensor, edge_index: Tensor, batch: Tensor | None) -> list[Step]:
    """Steps of a stock stack with `engine`; none for a layer that is not known. The first takes `first_input`.

    Everything that depends only on the graph (normalisation, CSR) is made here, outside the timed part.
    """
    if isinstance(stack, Propagation):
        sparse = x if x.layout == torch.sparse_csr else None
        place = Place("propagation", engine, edge_index, x.size(0), sparse, lambda h: h)
        return propagation_steps(stack, place, batch)
    steps: list[Step] = []
    arch = ""
    for layer, conv in enumerate(stack.convs):
        make = LAYERS.get(type(conv))
        if make is None:
            return []
        arch = make.__name__.removesuffix("_steps")
        sparse = x if layer == 0 and x.layout == torch.sparse_csr else None
        end = ending(stack, layer)
        steps += make(conv, Place(f"{arch}/{layer}", engine, edge_index, x.size(0), sparse, end))
    if stack.head is not None:
        steps += [Step(f"{arch}/pool", lambda h: global_mean_pool(h, batch)), Step(f"{arch}/head", stack.head)]
    return steps


def ending(stack: Any, layer: int) -> Callable[[Tensor], Tensor]:
    """What follows a layer: its activation, in place; nothing after the last of a node task."""
    if layer == len(stack.convs) - 1 and stack.head is None:
        return lambda h: h
    in_place: dict[Any, Any] = {F.relu: torch.relu_, F.elu: partial(F.elu, inplace=True)}
    found: Callable[[Tensor], Tensor] = in_place.get(stack.activation, stack.activation)
    return found


def gcn_steps(conv: Any, place: Place) -> list[Step]:
    edges, weight = gcn_norm(place.edge_index, None, place.num_nodes, conv.improved, conv.add_self_loops)
    first = place.product_first(conv.in_channels, conv.out_channels)
    aggregate, moved = place.aggregate(edges, weight, conv.out_channels if first else conv.in_channels)
    gemm, spmm = f"{place.name}/gemm", f"{place.name}/spmm"
    if first:
        return [Step(gemm, place.linear(conv.lin.weight)),
                Step(spmm, lambda h: place.end(aggregate(h).add_(conv.bias)), moved)]  # fmt: skip
    return [Step(spmm, aggregate, moved), Step(gemm, lambda h: place.end(F.linear(h, conv.lin.weight, conv.bias)))]


def gin_steps(conv: Any, place: Place) -> list[Step]:
    """(A + (1 + eps) I) X, then the MLP; its first product may come before the sum."""
    groups = linear_groups(conv.nn)
    linear: Any = groups[0][0]
    edges, weight = with_own(place.edge_index, place.num_nodes, 1 + conv.eps.item())
    first = place.product_first(linear.in_features, linear.out_features)
    aggregate, moved = place.aggregate(edges, weight, linear.out_features if first else linear.in_features)
    steps = [Step(f"{place.name}/sum", aggregate, moved)]
    if first:
        rest = groups[0][1:]
        summed = Step(f"{place.name}/sum", lambda h: rest(aggregate(h).add_(linear.bias)), moved)
        steps, groups = [Step(f"{place.name}/gemm1", place.linear(linear.weight)), summed], groups[1:]
    numbers = range(2 if first else 1, len(groups) + 2)
    steps += [Step(f"{place.name}/gemm{number}", group) for number, group in zip(numbers, groups, strict=False)]
    last = steps[-1]
    return [*steps[:-1], Step(last.name, lambda h: place.end(last.run(h)), last.moved)]


def sage_steps(conv: Any, place: Place) -> list[Step]:
    """mean(X) W_l + X W_r + b."""
    target = place.edge_index[1]
    degree = torch.bincount(target, minlength=place.num_nodes)
    first = place.product_first(conv.lin_l.in_channels, conv.out_channels)
    width = conv.out_channels if first else conv.lin_l.in_channels
    aggregate, moved = place.aggregate(place.edge_index, 1.0 / degree[target], width)
    gemm, mean = f"{place.name}/gemm", f"{place.name}/mean"
    if first:
        left, right = place.linear(conv.lin_l.weight), place.linear(conv.lin_r.weight, conv.lin_l.bias)
        return [Step(gemm, lambda x: (left(x), right(x))),
                Step(mean, lambda both: place.end(aggregate(both[0]).add_(both[1])), moved)]  # fmt: skip
    return [Step(mean, lambda x: (x, aggregate(x)), moved),
            Step(gemm, lambda both: place.end(conv.lin_l(both[1]).addmm_(both[0], conv.lin_r.weight.t())))]  # fmt: skip


def gat_steps(conv: Any, place: Place) -> list[Step]:
    """X W with each node's logits beside it, then softmax and weighted sum (`dqviz.bench.attention`)."""
    attention = Attention.of(conv, place.engine, place.edge_index, place.num_nodes)
    product, logits = place.linear(conv.lin.weight), place.linear(attention.folded)

    def attend(both: Any) -> Tensor:
        rows, pairs = both
        return place.end(attention.sum(rows, attention.weights(pairs)).add_(conv.bias))

    return [Step(f"{place.name}/gemm", lambda x: (product(x), logits(x))),
            Step(f"{place.name}/attention", attend, attention.moved)]  # fmt: skip


def with_own(edge_index: Tensor, num_nodes: int, own: float) -> tuple[Tensor, Tensor]:
    """Edges of weight 1 and one more of each node to itself, of weight `own`."""
    loops = torch.arange(num_nodes).repeat(2, 1)
    weight = torch.cat([torch.ones(edge_index.size(1)), torch.full((num_nodes,), own)])
    return torch.cat([edge_index, loops], dim=1), weight


def linear_groups(mlp: nn.Sequential) -> list[nn.Sequential]:
    """Each linear layer with what follows it up to the next."""
    groups: list[list[nn.Module]] = []
    for module in mlp:
        groups = [*groups, [module]] if isinstance(module, nn.Linear) else [*groups[:-1], [*groups[-1], module]]
    return [nn.Sequential(*group) for group in groups]


LAYERS: dict[type, Callable[[Any, Place], list[Step]]] = {
    GCNConv: gcn_steps, GINConv: gin_steps, SAGEConv: sage_steps, GATConv: gat_steps,
}  # fmt: skip
