"""A propagation (APPNP, SMP) as a float32 composition: the MLP, then each step's sums by one matrix of coefficients."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.nn import global_mean_pool
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.bench.peers import Product
from dqviz.bench.steps import Place, Step

Rows = tuple[Tensor, Tensor]
"""H^0 and H^k [num_nodes, num_classes]."""


def propagation_steps(model: Any, place: Place, batch: Tensor | None) -> list[Step]:
    """Names of products are those of the integer program; a step of the propagation is one timed part."""
    edges, weight = gcn_norm(place.edge_index, None, place.num_nodes)
    aggregate, moved = place.aggregate(edges, weight, model.classes.out_features)
    first, second = place.linear(model.hidden.weight, model.hidden.bias), model.classes
    steps = [
        Step(f"{place.name}/mlp1", lambda x: first(x).relu_()),
        Step(f"{place.name}/mlp2", lambda hidden: (second(hidden),) * 2),
    ]
    for index in range(model.depth):
        step = model.step(index)
        sums = 1 if step.change is None else 2
        steps.append(Step(f"{place.name}/{index}", one_step(step, aggregate), sums * moved))
    return [*steps, Step(f"{place.name}/logits", lambda rows: pooled(rows[1], batch))]


def one_step(step: Any, aggregate: Product) -> Any:
    """(H^0, H) -> (H^0, H'), by the formula of `dqviz.nn.propagation.Step`."""

    def run(rows: Rows) -> Rows:
        start, now = rows
        out = aggregate(now).mul_(step.around).add_(start, alpha=step.start)
        out = out.add_(now, alpha=step.kept) if step.kept else out
        if step.change is None:
            return start, out
        return start, aggregate(out - now).mul_(step.change).add_(out)

    return run


def pooled(rows: Tensor, batch: Tensor | None) -> Any:
    return rows if batch is None else global_mean_pool(rows, batch)
