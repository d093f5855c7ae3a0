"""Training on parts of a graph: where codewords are exact, parts give together what the whole graph gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from dqviz import methods
from dqviz import nn as archs
from dqviz.data.task import Task
from dqviz.methods import Method
from dqviz.quant import quantize, quantizers
from dqviz.quant.codebook import Codebook, branches
from dqviz.training.batches import Batch, Feed, whole_graph

NODES, FEATURES, CLASSES, PARTS = 30, 6, 3, 5


def graph(symmetric: bool = True) -> Data:
    """A ring with a hub, an isolated node and, in one direction only, a few chords."""
    ring = [(i, (i + 1) % 20) for i in range(20)]
    spokes = [(i, 0) for i in range(3, 27, 2)]
    edges = torch.tensor([*ring, *spokes]).t()
    chords = torch.tensor([(5, 11), (11, 17), (2, 22), (24, 2), (26, 28)]).t()
    both = torch.cat([edges, edges.flip(0)] + ([chords.flip(0)] if symmetric else []) + [chords], 1)
    x = torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(3))
    return Data(x=x, edge_index=both, y=torch.arange(NODES) % CLASSES)


def task(data: Data) -> Task:
    train = torch.arange(NODES) % 4 == 0
    return Task("ring", "node", [data], FEATURES, CLASSES, {"train": train, "val": ~train, "test": ~train})


def network(arch: str, data: Data, **settings: Any) -> tuple[nn.Module, Method]:
    """Weights in float, so that nothing but the messages differs from the stock network."""
    method = methods.make("vq-gnn", {"codewords": NODES, "batch_nodes": 7, **settings})
    method.scene.show(NODES, data.edge_index)
    torch.manual_seed(0)
    model = archs.make(arch, FEATURES, CLASSES, "node", {"hidden": 8, "dropout": 0.0, "layers": 3})
    return quantize(model, method, {"default": 8, "weight": 32, "attention": 32}), method


def stock(arch: str) -> nn.Module:
    torch.manual_seed(0)
    return archs.make(arch, FEATURES, CLASSES, "node", {"hidden": 8, "dropout": 0.0, "layers": 3})


def books(model: nn.Module) -> list[Codebook]:
    """Those of messages."""
    return [q for q in quantizers(model) if isinstance(q, Codebook) and q.where is not None]


def make_exact(books: list[Codebook], sent: list[Tensor], gradients: list[Tensor]) -> None:
    """Every node gets a codeword of its own, without whitening, that holds its row and gradient; they stay so."""
    for book, x, gradient in zip(books, sent, gradients, strict=True):
        book.codewords.copy_(torch.cat([branches(x), branches(gradient)], 2))
        book.var.fill_(1.0)
        book.assigned.copy_(torch.arange(NODES).expand_as(book.assigned))
        book.seen.fill_(True)
        book.learn = lambda *_: None  # type: ignore[method-assign]


def attention_of(model: nn.Module, sent: list[Tensor], got: list[Tensor], gradients: list[Tensor],
                 edge_index: Tensor) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """Of every layer, node by node and head by head: the softmax's denominator, in logarithms, and g . out."""
    masses, told = [], []
    for conv, x, out, gradient in zip(model.convs, sent, got, gradients, strict=True):
        h = x.unflatten(1, conv.att_src.shape[1:])
        a, b = (h * conv.att_src).sum(2), (h * conv.att_dst).sum(2)
        senders = [edge_index[0][edge_index[1] == i].tolist() + [i] for i in range(NODES)]
        mass = [F.leaky_relu(a[ids] + b[i], conv.negative_slope).logsumexp(0) for i, ids in enumerate(senders)]
        masses.append(torch.stack(mass).detach())
        told.append((out.detach().flatten(1) * gradient).unflatten(1, conv.att_src.shape[1:]).sum(2))
    return masses, told


def passed(model: nn.Module, batch: Batch) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """What every layer sends, what every node gets, and the gradient of the mean loss of the scored nodes by that."""
    sent: list[Tensor] = []
    got: list[Tensor] = []
    for book in books(model):
        book.listen = lambda x, out: (sent.append(x.detach()), got.append(out))  # type: ignore[method-assign]
    logits = model.train()(*batch.inputs)
    loss = F.cross_entropy(logits[batch.scored], batch.y[batch.scored])
    found = torch.autograd.grad(loss, got, allow_unused=True, retain_graph=True) if got[0].requires_grad else [
        torch.zeros_like(sent[0]), *torch.autograd.grad(loss, got[1:], retain_graph=True)]  # fmt: skip
    for book in books(model):
        del book.listen
    return [x.flatten(1) for x in sent], got, [g.flatten(1) for g in found]


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """By the names that the stock network has for its parameters."""
    return {
        name.replace("parametrizations.", "").replace(".original", ""): p.grad
        for name, p in model.named_parameters() if p.grad is not None
    }  # fmt: skip


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("arch", ["gcn", "gin", "gat", "sage"])
def test_exact_codewords_give_the_gradient_of_the_whole_graph(arch: str, symmetric: bool) -> None:
    """The mean over parts of logits, losses and gradients is that of the stock network on all of it, to 1e-5."""
    data = graph(symmetric)
    model, method = network(arch, data)
    whole = whole_graph(task(data), "train")
    sent, got, by_node = passed(model, whole)
    by_node = [PARTS * gradient for gradient in by_node]  # losses of parts are PARTS times as large
    make_exact(books(model), sent, by_node)
    if arch == "gat":
        shares = [conv.sites.shares for conv in model.convs]
        make_exact(shares, *attention_of(model, sent, got, by_node, data.edge_index))
    reference = stock(arch).train()
    expected = reference(*whole.inputs)
    F.cross_entropy(expected[whole.scored], whole.y[whole.scored]).backward()

    model.zero_grad()
    feed = Feed(task(data), 1, method.batch_nodes)
    parts = list(feed.training())
    assert len(parts) == PARTS
    assert sorted(torch.cat([batch.part.nodes for batch in parts]).tolist()) == list(range(NODES))
    for batch in parts:
        with method.scene.within(batch.part):
            logits = model(*batch.inputs)
        assert torch.allclose(logits, expected[batch.part.nodes], atol=1e-5)
        loss = batch.weight * F.cross_entropy(logits[batch.scored], batch.y[batch.scored]) if len(batch.scored) else 0
        ((loss + method.penalty(model)) / PARTS).backward()
    found, wanted = gradients(model), gradients(reference)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, atol=1e-5, rtol=1e-4), name
