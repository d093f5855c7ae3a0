"""Prints what training steps or an evaluation need beside the graph, in bytes: NODES BATCH_NODES training."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import torch
from torch_geometric.data import Data

from dqviz import methods
from dqviz import nn as archs
from dqviz.data.task import Task
from dqviz.quant import quantize
from dqviz.runs.memory import peak_bytes
from dqviz.spec import Optimizer
from dqviz.training import evaluate
from dqviz.training.loop import Epochs
from dqviz.training.ranges import RangeLog

FEATURES, DEGREE, STEPS = 128, 14, 3


def epochs(num_nodes: int, batch_nodes: int) -> Epochs:
    """Training of GCN on a random graph with features as ogbn-arxiv has them."""
    torch.manual_seed(0)
    edges = torch.randint(num_nodes, (2, num_nodes * DEGREE))
    data = Data(x=torch.rand(num_nodes, FEATURES), edge_index=edges, y=torch.randint(40, (num_nodes,)))
    train = torch.arange(num_nodes) % 2 == 0
    task = Task("random", "node", [data], FEATURES, 40, {"train": train, "val": ~train, "test": ~train})
    method = methods.make("vq-gnn", {"batch_nodes": batch_nodes})
    method.scene.show(num_nodes, edges)
    model = archs.make("gcn", FEATURES, 40, "node", {"hidden": 128, "layers": 3})
    return Epochs(quantize(model, method, 8), task, method, Optimizer(), RangeLog(model, 1))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def train(run: Epochs, steps: int) -> None:
    run.set_training(True)
    for batch in islice(run.feed.training(), steps):
        run.step(batch, 0)


def validate(run: Epochs) -> None:
    run.set_training(False)
    evaluate(run.model, run.feed, ("val",))


def main(num_nodes: int, batch_nodes: int, what: str) -> None:
    torch.set_num_threads(1)
    train(epochs(500, 100), 1)  # what a first step loads is no memory of the graph's
    run = epochs(num_nodes, batch_nodes)
    if what == "evaluation":
        train(run, 1)
    before = resident_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    if what == "evaluation":
        validate(run)
    else:
        train(run, STEPS)
    print(peak_bytes() - before)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
