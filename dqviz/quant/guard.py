"""Guard: draws which nodes are protected in each training step, layer by layer or once a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dqviz.quant.scene import Scene


class Probability(Protocol):
    """Protection probability [num_nodes] float32 from in-degree; with `batch` [num_nodes] taken graph by graph."""

    def __call__(self, in_degree: Tensor, batch: Tensor | None) -> Tensor: ...


@dataclass(frozen=True)
class Protection:
    """How a method protects nodes: a probability of each node, drawn per layer or once per forward pass.

    `mlp`: inside the MLP of a layer that has one, too.
    """

    probability: Probability
    per_layer: bool = True
    mlp: bool = True


class Shield:
    """The protected rows of one layer in this step ([num_nodes] bool), or None: nothing is protected."""

    def __init__(self) -> None:
        self.rows: Tensor | None = None


class Guard(nn.Module):
    """Sits on the model; before each forward pass it shows the scene and fills the shields.

    In evaluation nothing is protected.
    """

    def __init__(self, protection: Protection | None, scene: Scene) -> None:
        super().__init__()
        self.protection = protection
        self.scene = scene
        self.shields: list[Shield] = []
        # Not buffers: going back to the weights of the best epoch must not forget the draws of the later ones.
        self.steps = 0
        self.counts: Tensor | None = None
        self._degree: Tensor | None = None
        self._p: Tensor | None = None

    def add_layer(self) -> Shield:
        self.shields.append(Shield())
        return self.shields[-1]

    def inside(self, shield: Shield, mlp: bool) -> Shield:
        """Of the linear layers behind this shield, which are an `mlp` or not."""
        return Shield() if mlp and self.protection is not None and not self.protection.mlp else shield

    def attach(self, model: nn.Module) -> None:
        model.register_forward_pre_hook(self.before_forward)

    def before_forward(self, model: nn.Module, inputs: Any) -> None:
        """inputs: (x, edge_index[, batch])."""
        x, *graph = inputs
        self.scene.show(x.size(0), *graph)
        self.scene.enter(x)
        if self.protection is None:
            return
        if not self.training:
            self.fill([None] * len(self.shields))
            return
        p = self.probability()
        draws = len(self.shields) if self.protection.per_layer else 1
        masks: list[Tensor | None] = [torch.rand_like(p) < p for _ in range(draws)]
        self.count(masks)
        self.fill(masks if self.protection.per_layer else masks * len(self.shields))

    def fill(self, masks: list[Tensor | None]) -> None:
        for shield, mask in zip(self.shields, masks, strict=True):
            shield.rows = mask

    def probability(self) -> Tensor:
        """[num_nodes]; kept while the same graph comes again (a node task trains on one)."""
        assert self.protection is not None
        if self._degree is not self.scene.in_degree or self._p is None:
            self._degree = self.scene.in_degree
            self._p = self.protection.probability(self._degree, self.scene.batch)
        return self._p

    def count(self, masks: list[Tensor | None]) -> None:
        """Counts how often each node was protected, while the number of nodes stays the same (node tasks)."""
        for mask in masks:
            assert mask is not None
            if self.counts is None or self.counts.numel() != mask.numel():
                self.counts, self.steps = torch.zeros_like(mask, dtype=torch.long), 0
            self.counts += mask
            self.steps += 1

    def frequency(self) -> Tensor | None:
        """Measured share of draws [num_nodes] in which each node was protected, or None before the first draw."""
        return None if self.counts is None else self.counts / self.steps
