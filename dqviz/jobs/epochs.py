"""bench training: one epoch (training steps and evaluation) of FP32, QAT and DQ beside plain PyG, interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv, global_mean_pool

from dqviz.bench.protocol import measure, pinned, require_idle
from dqviz.bench.rows import PRECISIONS, Row, row
from dqviz.data.task import Task
from dqviz.errors import unknown
from dqviz.jobs import network
from dqviz.spec import RunSpec, Scalar, make_spec
from dqviz.training.batches import split_index
from dqviz.training.loop import Epochs
from dqviz.training.ranges import RangeLog

METHODS = (("fp32", 32), ("qat", 8), ("qat", 4), ("dq", 8), ("dq", 4))
ARCHS = {"node": ("gcn", "gin", "gat"), "graph": ("gin",)}
"""What is timed when no architecture is asked for."""
PLAIN = ("gcn", "gin", "gat", "sage")
"""Architectures that are written down here as torch_geometric's documentation writes them."""
DEEP: dict[str, Scalar] = {"layers": 5, "hidden": 64, "train_eps": True, "benchmark": True}
"""GIN on graph tasks as Degree-Quant's authors train it on REDDIT-BINARY (METHODS 1.6)."""
BATCH_SIZE = 128
Epoch = Callable[[], object]


def training(
    dataset: str = "cora",
    arch_names: Sequence[str] = (),
    threads: int = 1,
    repeats: int = 30,
    force: bool = False,
) -> list[Row]:
    """Rows of `bench training`: op 'epoch-gcn' and so on, backend 'pyg' (dense features) or 'dqviz', with `method`.

    Without names: GCN, GIN, GAT on a node task, GIN on graphs. Raises BadInput for an unknown data set or an
    architecture that is not in PLAIN, Unavailable on a busy machine unless forced.
    """
    rows: list[Row] = []
    for arch in arch_names:
        if arch not in PLAIN:
            raise unknown("architecture with a plain form to time", arch, PLAIN)
    task = network.load_task(make_spec(dataset=dataset, arch="gcn", method="fp32"))
    with pinned(threads):
        require_idle(force)
        for arch in arch_names or ARCHS[task.kind]:
            rows += timed(task, arch, threads, repeats)
    return rows


def timed(task: Task, arch: str, threads: int, repeats: int) -> list[Row]:
    """All methods of one architecture, one epoch each a round."""
    variants = {("pyg", "fp32", 32): plain_epoch(task, arch)}
    for method, bits in METHODS:
        variants["dqviz", method, bits] = our_epoch(task, spec_of(task, arch, method, bits))
    timings = measure({" ".join(map(str, key)): run for key, run in variants.items()}, repeats)
    sizes = (sum(int(graph.num_nodes or 0) for graph in task.graphs),
             sum(int(graph.edge_index.size(1)) for graph in task.graphs), task.num_features)  # fmt: skip
    rows = [
        row(f"epoch-{arch}", backend, PRECISIONS[bits], task.name, sizes, threads,
            timings[f"{backend} {method} {bits}"], exact=None, bytes_moved=None) | {"method": method}
        for backend, method, bits in variants
    ]  # fmt: skip
    pyg, fp32, *_ = (found["median_ms"] for found in rows)
    return [found | {"speedup_pyg": pyg / found["median_ms"], "of_fp32": found["median_ms"] / fp32} for found in rows]


def spec_of(task: Task, arch: str, method: str, bits: int) -> RunSpec:
    settings = DEEP if task.kind == "graph" and arch == "gin" else {}
    return make_spec(dataset=task.name, arch=arch, arch_settings=settings, method=method, bits=bits)


def our_epoch(task: Task, spec: RunSpec) -> Epoch:
    """An epoch as a run trains it, evaluation and range log included."""
    net = network.build(spec, task)
    run = Epochs(net.model, task, net.method, spec.optimizer, RangeLog(net.model, spec.epochs), spec.epochs)
    numbers = count()
    return lambda: run.epoch(next(numbers))


class Plain(nn.Module):
    """The network as torch_geometric's documentation writes it."""

    def __init__(self, arch: str, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.first, self.second = plain_layers(arch, num_features, num_classes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """x [num_nodes, num_features] dense -> logits [num_nodes, num_classes]."""
        x = self.first(F.dropout(x, 0.5, self.training), edge_index).relu()
        return self.second(F.dropout(x, 0.5, self.training), edge_index)  # type: ignore[no-any-return]


def plain_layers(arch: str, num_features: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
    def mlp(a: int, b: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(a, 16), nn.ReLU(), nn.Linear(16, b))

    if arch == "gcn":
        return GCNConv(num_features, 16, cached=True), GCNConv(16, num_classes, cached=True)
    if arch == "gin":
        return GINConv(mlp(num_features, 16)), GINConv(mlp(16, num_classes))
    if arch == "gat":
        return GATConv(num_features, 8, heads=8, dropout=0.5), GATConv(64, num_classes, dropout=0.5)
    return SAGEConv(num_features, 16), SAGEConv(16, num_classes)


class PlainGraphs(nn.Module):
    """A network on graphs as torch_geometric's documentation writes it: two layers, mean pool, linear classifier."""

    def __init__(self, arch: str, num_features: int, num_classes: int) -> None:
        super().__init__()
        width = 64 if arch == "gat" else 16  # eight heads of eight channels, as on nodes
        self.convs = nn.ModuleList(plain_layer(arch, a, b) for a, b in pairwise([num_features, width, width]))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        """x [num_nodes, num_features] -> logits [num_graphs, num_classes]."""
        for conv in self.convs:
            x = conv(F.dropout(x, 0.5, self.training), edge_index).relu()
        pooled = global_mean_pool(x, batch)
        return self.head(F.dropout(pooled, 0.5, self.training))  # type: ignore[no-any-return]


class PlainGin(nn.Module):
    """GIN on graphs as torch_geometric's benchmark writes it, in the size of `DEEP`."""

    def __init__(self, num_features: int, num_classes: int, hidden: int = 64, layers: int = 5) -> None:
        super().__init__()
        widths = pairwise([num_features, *[hidden] * layers])
        self.convs = nn.ModuleList(
            GINConv(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, b), nn.ReLU(), nn.BatchNorm1d(b)),
                    train_eps=True) for a, b in widths
        )  # fmt: skip
        self.hidden, self.head = nn.Linear(hidden, hidden), nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        """x [num_nodes, num_features] -> logits [num_graphs, num_classes]."""
        for conv in self.convs:
            x = conv(x, edge_index)
        hidden = self.hidden(global_mean_pool(x, batch)).relu()
        return self.head(F.dropout(hidden, 0.5, self.training))  # type: ignore[no-any-return]


def plain_layer(arch: str, a: int, b: int) -> nn.Module:
    """One layer of a network on graphs."""
    if arch == "gat":
        return GATConv(a, b // 8, heads=8, dropout=0.5)  # type: ignore[no-any-return]
    return {"gcn": GCNConv, "sage": SAGEConv}[arch](a, b)  # type: ignore[no-any-return]


def plain_epoch(task: Task, arch: str) -> Epoch:
    """Training steps and evaluation on dense features."""
    torch.manual_seed(0)
    if task.kind == "graph":
        return plain_graphs_epoch(task, arch)
    data, masks = task.graphs[0], task.splits
    x = data.x.to_dense() if data.x.layout == torch.sparse_csr else data.x
    model = Plain(arch, task.num_features, task.num_classes)
    adam = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    return partial(_plain_step, model, adam, x, data.edge_index, data.y, masks)


def _plain_step(
    model: nn.Module, adam: torch.optim.Optimizer, x: Tensor, edge_index: Tensor, y: Tensor, masks: dict[str, Any]
) -> list[float]:
    model.train()
    adam.zero_grad()
    loss = F.cross_entropy(model(x, edge_index)[masks["train"]], y[masks["train"]])
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()
    model.eval()
    with torch.no_grad():
        hits = model(x, edge_index).argmax(1) == y
        return [hits[masks[split]].float().mean().item() for split in ("train", "val")]


def plain_graphs_epoch(task: Task, arch: str) -> Epoch:
    """All training batches by PyG's loader, then the validation graphs."""
    members = {split: [task.graphs[i] for i in split_index(task, split).tolist()] for split in ("train", "val")}
    loaders = {split: DataLoader(graphs, BATCH_SIZE, shuffle=split == "train") for split, graphs in members.items()}
    sizes = task.num_features, task.num_classes
    model = PlainGin(*sizes) if arch == "gin" else PlainGraphs(arch, *sizes)
    adam = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    return partial(_plain_graphs_step, model, adam, loaders["train"], loaders["val"])


def _plain_graphs_step(model: nn.Module, adam: torch.optim.Optimizer, train: Any, val: Any) -> float:
    model.train()
    for batch in train:
        adam.zero_grad()
        F.cross_entropy(model(batch.x, batch.edge_index, batch.batch), batch.y.view(-1)).backward()  # type: ignore[no-untyped-call]
        adam.step()
    model.eval()
    with torch.no_grad():
        hits = [model(b.x, b.edge_index, b.batch).argmax(1) == b.y.view(-1) for b in val]
    return torch.cat(hits).float().mean().item()
