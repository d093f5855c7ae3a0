"""Gradient error against in-degree: what quantization does to the training gradient of the trained weights.

Measured on the loss of the training split at the best weights, dropout off, against the twin. A method that protects
nodes trains on a masked network: there the mean over `DRAWS` passes is taken, each with a mask drawn as in a training
step, because Degree-Quant's claim is about that gradient. Each network is measured twice, with its own backward rule
and with the straight-through one, because the rule decides more than the mask does: gc, which Degree-Quant trains with,
drops the gradient at the two extreme codes, and QAT at INT4 (GCN, Cora, one seed) has a mean cosine over degree groups
of 0.89 with ste and of 0.47 with gc. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor, nn

from dqviz.analysis.gradients import OWN, STRAIGHT, WeightGradient, gradient_table
from dqviz.data.task import Task
from dqviz.jobs.network import Network
from dqviz.quant import quantizers, twin
from dqviz.quant.guard import Guard
from dqviz.quant.scene import in_degree
from dqviz.training.batches import Batch, collate, split_index, whole_graph
from dqviz.training.gradients import LayerGradient, layer_gradients

DRAWS = {OWN: 2, STRAIGHT: 1}
"""Masks drawn for each rule. Between draws a cosine varies by 0.01 to 0.04 with gc and by at most 0.01 straight through
(GCN and GAT, INT4, Cora), which is what it varies by between seeds; a pass of GIN on Cora takes 0.07 s."""
MAX_NODES = 50_000
"""A graph task is measured on its first training graphs up to this many nodes."""


def gradients(net: Network, seed: int) -> pd.DataFrame:
    """TABLES["gradients"]; no row for a full-precision network. The model must hold its best weights, in evaluation."""
    if all(quantizer.qtype.is_float for quantizer in quantizers(net.model)):
        return gradient_table(np.zeros(0), [], {})
    batch = training_batch(net.task)
    with twin(net.model):
        reference = one_pass(net.model, batch)
    own = quantized_passes(net.model, batch, seed, DRAWS[OWN])
    with straight_through(net.model) as changed:
        straight = quantized_passes(net.model, batch, seed, DRAWS[STRAIGHT]) if changed else own
    degree = in_degree(batch.edge_index, batch.x.size(0)).numpy()
    return gradient_table(degree, reference, {OWN: own, STRAIGHT: straight})


def quantized_passes(model: nn.Module, batch: Batch, seed: int, draws: int) -> list[list[WeightGradient]]:
    """One pass, or `draws` of them where nodes are protected at random."""
    guard: Guard = model.guard  # type: ignore[assignment]
    with drawing(guard, seed):
        return [one_pass(model, batch) for _ in range(draws if guard.protection else 1)]


@contextmanager
def straight_through(model: nn.Module) -> Iterator[bool]:
    """Every quantizer passes its gradient; yields whether one did not before."""
    changed = [q for q in quantizers(model) if q.own_gradient or q.gradient != STRAIGHT]
    for quantizer in changed:
        quantizer.straight = True
    try:
        yield bool(changed)
    finally:
        for quantizer in changed:
            quantizer.straight = False


@contextmanager
def drawing(guard: Guard, seed: int) -> Iterator[None]:
    """Masks are drawn as in a training step, but from this seed; the guard's own counts and torch's generator stay."""
    counts, steps = guard.counts, guard.steps
    guard.counts = None
    guard.train()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        guard.eval()
        guard.fill([None] * len(guard.shields))
        guard.counts, guard.steps = counts, steps


def training_batch(task: Task) -> Batch:
    """The graph with its training nodes scored, or the first training graphs up to MAX_NODES nodes."""
    if task.kind == "node":
        return whole_graph(task, "train")
    index = split_index(task, "train")
    ends = torch.tensor([int(task.graphs[i].num_nodes or 0) for i in index.tolist()]).cumsum(0).tolist()
    return collate(task, index[: max(1, len(list(takewhile(lambda end: end <= MAX_NODES, ends))))].tolist())


def one_pass(model: nn.Module, batch: Batch) -> list[WeightGradient]:
    return [as_arrays(layer) for layer in layer_gradients(model, batch)]


def as_arrays(layer: LayerGradient) -> WeightGradient:
    where = layer.weights.where
    assert where is not None
    return WeightGradient((where.key, where.layer, where.part, str(where.site)), rows(layer.x), layer.dy.numpy(),
                          layer.passed.numpy())  # fmt: skip


def rows(x: Tensor) -> object:
    """numpy rows, or scipy's CSR of the same memory."""
    if x.layout != torch.sparse_csr:
        return x.numpy()
    return sparse.csr_array(
        (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy()), (x.size(0), x.size(1))
    )
