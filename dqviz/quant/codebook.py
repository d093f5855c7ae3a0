"""Codebook: the rows that nodes send as a few codewords, learned with what the loss says about them (VQ-GNN).

A row is cut into branches of 4 channels. A branch has M codewords over [whitened feature | whitened gradient], where
the gradient is the one of the node's aggregated row. Each training step, with n_k rows nearest to codeword k and their
sum s_k (all whitened by the running mean and variance of each channel):

    N_k <- d N_k + (1 - d) n_k,    c_k <- (d N_k c_k + (1 - d) s_k) / N_k

A part of a graph (`dqviz.quant.part`) sees the nodes outside it through the codewords they were last given: the feature
halves stand for what they send, the gradient halves for what the loss says about what they get. Without a part every
row is replaced by the codeword whose feature half is nearest, straight through. Source: Ding et al., NeurIPS 2021
(arXiv 2110.14363), section 4. Codewords that no row has been nearest to for a while start again at a random row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dqviz.quant.functional import QParams
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.part import Part
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.scene import Scene

WIDTH = 4
"""Channels of a branch, the authors' choice; the last branch is filled up with zeros."""

DISTANCES = 1 << 21
"""Distances held at a time (8 MB)."""


class Codebook(Quantizer):
    """Stands at MESSAGE on the rows that nodes send. Codewords are float32; a row takes log2(M) bits a branch.

    `codewords` [branches, M, 8] whitened; `counts` their running rows a step; `idle` the steps since a row was nearest;
    `mean`, `var` [branches, 8]; `assigned` [branches, num_nodes] the codeword of each node of the scene, M before the
    first. A node not met yet counts as the mean node. `attention`: GAT keeps codewords of the attention that nodes pay.
    """

    mean: Tensor
    var: Tensor
    codewords: Tensor
    counts: Tensor
    idle: Tensor
    assigned: Tensor
    seen: Tensor

    def __init__(
        self, scene: Scene, size: int, decay: float, momentum: float, patience: int, attention: bool = False
    ) -> None:
        super().__init__(QType(max(1, math.ceil(math.log2(size) / WIDTH))), RunningMinMax())
        self.scene, self.size = scene, size
        self.decay, self.momentum, self.patience = decay, momentum, patience
        self.attention = attention
        self.channels = 0
        self.returned: Tensor | None = None
        self.met: Tensor | None = None
        self.due = False

    def fit(self, channels: int) -> None:
        """Makes room for rows of so many channels."""
        branches = -(-channels // WIDTH)
        self.channels = channels
        self.register_buffer("mean", torch.zeros(branches, 2 * WIDTH))
        self.register_buffer("var", torch.zeros(branches, 2 * WIDTH))
        self.register_buffer("codewords", torch.zeros(branches, self.size, 2 * WIDTH))
        self.register_buffer("counts", torch.zeros(branches, self.size))
        self.register_buffer("idle", torch.zeros(branches, self.size, dtype=torch.int32))
        none_yet = torch.full((branches, self.scene.num_nodes), self.size, dtype=torch.int16)
        self.register_buffer("assigned", none_yet)
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    def another(self) -> Codebook:
        """An empty one with the same settings."""
        return Codebook(self.scene, self.size, self.decay, self.momentum, self.patience)

    @property
    def part(self) -> Part | None:
        """The part of a graph that passes through the network, or None: a whole graph does."""
        return self.scene.part

    @property
    def scale(self) -> Tensor:
        """[branches, 1, 8]: what a whitened value is multiplied by; 1 for a channel that never varies."""
        return torch.where(self.var > 0, self.var.sqrt(), 1.0)[:, None]

    def passes(self, protected: Tensor | None) -> bool:
        """Whether rows leave as they are: switched off, all protected, or nothing learned yet."""
        return self.state != "on" or not self.seen.item() or (protected is not None and bool(protected.all()))

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """In calibration there is no gradient to learn with; in training `listen` waits for it."""
        if self.state == "observe":
            self.learn(x.flatten(1), torch.zeros_like(x).flatten(1))

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        if not self.seen.item():
            return x
        out: Tensor = _Nearest.apply(x, self)  # type: ignore[no-untyped-call]
        return out if protected is None else torch.where(protected.mask(x), x, out)

    @torch.no_grad()
    def nearest_to(self, x: Tensor) -> Tensor:
        """Index [branches, rows] of the codewords whose feature halves are nearest to x [rows, channels]."""
        white = (branches(x) - self.mean[:, None, :WIDTH]) / self.scale[..., :WIDTH]
        return nearest(white, self.codewords[..., :WIDTH])

    @torch.no_grad()
    def real(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Features and gradients [rows, channels] that codewords [branches, rows] stand for; M is the mean node."""
        with_mean = F.pad(self.codewords, (0, 0, 0, 1))
        found = picked(with_mean, index.long()) * self.scale + self.mean[:, None]
        return joined(found[..., :WIDTH], self.channels), joined(found[..., WIDTH:], self.channels)

    def outside(self, part: Part) -> tuple[Tensor, Tensor]:
        """Features and gradients [others, channels] that the nodes outside were last assigned."""
        return self.real(self.assigned[:, part.outside])

    def evaluated(self, x: Tensor, part: Part) -> Tensor:
        """Rows x of a part and the nodes outside it by their nearest codewords [rows + others, ...].

        All are as `met` remembers them; the rows are looked up when it is the codebook's turn (`due`).
        """
        if self.met is None:
            raise RuntimeError("A part of a graph is evaluated only while its nodes are remembered.")
        if self.due:
            self.met[:, part.nodes] = self.nearest_to(x.flatten(1)).to(self.met.dtype)
        features, _ = self.real(self.met[:, torch.cat([part.nodes, part.outside])])
        return features.view(-1, *x.shape[1:])

    def give_back(self, x: Tensor, gradient: Tensor) -> None:
        """Keeps a term of the loss that gives rows x this gradient [rows, channels]; its own value is 0."""
        got = (x * gradient).sum()
        self.returned = got - got.detach() if got.requires_grad else None

    def take_returned(self) -> Tensor | None:
        """What nodes outside the last part give back, once."""
        returned, self.returned = self.returned, None
        return returned

    def listen(self, x: Tensor, out: Tensor, told: Callable[[Tensor], Tensor] = torch.Tensor.detach) -> None:
        """Learns rows x, once the backward pass tells the gradient of what their nodes got, `out`.

        `told` makes of that gradient what goes beside the rows.
        """
        if not (self.training and self.state == "on" and torch.is_grad_enabled()):
            return
        rows, nodes = x.detach().flatten(1), None if self.part is None else self.part.nodes
        if not out.requires_grad:  # the data set's own features are sent, and nobody asks for their gradient
            self.learn(rows, torch.zeros_like(rows), nodes)
            return
        out.register_hook(lambda grad: self.learn(rows, told(grad).flatten(1), nodes))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def learn(self, x: Tensor, grad: Tensor, nodes: Tensor | None = None) -> None:
        """One step of the formulas with rows x and their gradients [rows, channels]; `nodes` get their codewords."""
        values = torch.cat([branches(x), branches(grad)], 2)
        self.follow(values)
        white = (values - self.mean[:, None]) / self.scale
        if not self.seen.item():
            self.start(white)
        index = nearest(white, self.codewords)
        self.move(white, index)
        if nodes is not None:
            self.assigned[:, nodes] = index.to(self.assigned.dtype)

    def follow(self, values: Tensor) -> None:
        """Running mean and variance of values [branches, rows, 8]."""
        var, mean = torch.var_mean(values, 1, correction=0)
        weight = self.momentum if self.seen.item() else 1.0
        self.mean.lerp_(mean, weight)
        self.var.lerp_(var, weight)

    def start(self, white: Tensor) -> None:
        """First codewords: rows at random, each row once before one comes twice."""
        rows = white.size(1)
        order = torch.randperm(rows).repeat(-(-self.size // rows))[: self.size]
        self.codewords.copy_(white[:, order])
        self.counts.fill_(rows / self.size)
        self.seen.fill_(True)

    def move(self, white: Tensor, index: Tensor) -> None:
        """Each codeword moves to the running mean of the rows that are nearest to it."""
        rows = torch.zeros_like(self.counts).scatter_add_(1, index, torch.ones_like(index, dtype=self.counts.dtype))
        sums = torch.zeros_like(self.codewords).scatter_add_(1, index[..., None].expand_as(white), white)
        old, met = self.decay * self.counts, rows > 0
        self.counts.copy_(old + (1 - self.decay) * rows)
        moved = (old[..., None] * self.codewords + (1 - self.decay) * sums) / self.counts[..., None]
        self.codewords.copy_(torch.where(met[..., None], moved, self.codewords))
        self.idle.add_(1).masked_fill_(met, 0)
        self.revive(white)

    def revive(self, white: Tensor) -> None:
        """Codewords that were idle for too long start again, each at a random row of this step."""
        branch, code = torch.nonzero(self.idle > self.patience, as_tuple=True)
        if branch.numel():
            row = torch.randint(white.size(1), branch.shape)
            self.codewords[branch, code] = white[branch, row]
            self.counts[branch, code] = white.size(1) / self.size
            self.idle[branch, code] = 0

    def range(self) -> tuple[float, float]:
        """Smallest and largest value that a codeword stands for."""
        real = self.codewords[..., :WIDTH] * self.scale[..., :WIDTH] + self.mean[:, None, :WIDTH]
        return real.min().item(), real.max().item()

    def qparams(self) -> QParams:
        """There is no step."""
        return QParams(math.nan, 0)

    def grid(self, x: Tensor) -> None:
        """Codewords lie on no grid."""

    def mean_bits(self, x: Tensor) -> float:
        """Bits of the indices and of the feature halves of the codebook itself, over the values of x [rows, ...]."""
        per_branch = x.size(0) * math.log2(self.size) + self.size * WIDTH * 32
        return len(self.codewords) * per_branch / max(x.numel(), 1)


class _Nearest(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor, book: Codebook) -> Tensor:
        features, _ = book.real(book.nearest_to(x.flatten(1)))
        return features.view_as(x)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


@contextmanager
def remembering(books: Sequence[Codebook]) -> Iterator[Iterator[Codebook]]:
    """In the body the nearest codeword of every node of the scene is remembered, from part to part.

    Yields the codebooks one by one; the one yielded last is due.
    """
    for book in books:
        book.met = torch.full_like(book.assigned, book.size)
    try:
        yield in_turn(books)
    finally:
        for book in books:
            book.met = None


def in_turn(books: Sequence[Codebook]) -> Iterator[Codebook]:
    for book in books:
        book.due = True
        yield book
        book.due = False


def branches(x: Tensor) -> Tensor:
    """[rows, channels] -> [branches, rows, 4], filled up with zeros."""
    filled = F.pad(x, (0, -x.size(1) % WIDTH))
    return filled.view(x.size(0), -1, WIDTH).transpose(0, 1)


def joined(parts: Tensor, channels: int) -> Tensor:
    """The way back: [branches, rows, 4] -> [rows, channels]."""
    return parts.transpose(0, 1).flatten(1)[:, :channels]


def picked(codewords: Tensor, index: Tensor) -> Tensor:
    """codewords [branches, M, width], index [branches, rows] -> [branches, rows, width]."""
    return codewords.gather(1, index[..., None].expand(-1, -1, codewords.size(2)))


def nearest(values: Tensor, codewords: Tensor) -> Tensor:
    """Index [branches, rows] of the codeword [branches, M, width] nearest to values [branches, rows, width].

    The lowest of several at one distance.
    """
    half = codewords.square().sum(2)[:, None] / 2
    together = max(1, DISTANCES // (codewords.size(1) * max(values.size(0), 1)))
    found = [torch.baddbmm(half, rows, codewords.transpose(1, 2), alpha=-1).argmin(2)
             for rows in torch.split(values, together, 1)]  # fmt: skip
    return torch.cat(found, 1)
