"""Session: runs a plan on a backend. Everything that depends only on the graph is prepared once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dqviz.integer.graph import Edges, Features, Prepared, features_of, pool_ptr
from dqviz.integer.kernels import best, make
from dqviz.integer.ops import Frame, logits_of
from dqviz.integer.plan import Plan


def replay(frame: Frame, recorded: Callable[[], None], values: dict[str, Any]) -> None:
    """Writes the recorded results again and puts them back in place of what single operations have left."""
    recorded()
    frame.values.update(values)


class Session:
    """An integer program with kernels: `backend` by name (the fastest that runs here when not given), `threads`."""

    def __init__(self, plan: Plan, backend: str | None = None, threads: int = 1) -> None:
        self.plan = plan
        self.backend_name = backend or best()
        self.backend = make(self.backend_name, threads)

    def prepare(self, edge_index: Tensor, num_nodes: int, batch: Tensor | None = None) -> Prepared:
        """Matrices of a graph: edge_index [2, num_edges] int64; batch [num_nodes] ascending (graph tasks)."""
        edges = Edges(edge_index, num_nodes)
        made = {op.name: op.matrix(edges) for op in self.plan.ops}
        matrices = {name: matrix for name, matrix in made.items() if matrix is not None}
        factors = {op.name: op.rows(edges) for op in self.plan.ops}
        rows = {name: factor for name, factor in factors.items() if factor is not None}
        return Prepared(matrices, pool_ptr(batch, num_nodes), rows, batch is not None)

    def run(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """x [num_nodes, num_features] float32, dense or sparse CSR -> logits [rows, num_classes] float32."""
        frame = self.frame(features_of(x), self.prepare(edge_index, x.size(0), batch))
        return torch.from_numpy(self.execute(frame))

    def frame(self, x: Features, graph: Prepared) -> Frame:
        """A run that has not begun."""
        return Frame(self.backend, graph, {"x": x})

    def execute(self, frame: Frame) -> Any:
        """Runs all operations; every value stays in the frame, so that one operation can be run again. Logits.

        The second run of a frame replays what the first has recorded where the backend can (same features, same graph).
        A replay may keep what lies between joined products to itself: the frame then holds it as the first run left it.
        """
        if frame.replay is not None:
            frame.replay()
        else:
            self.backend.record()
            for op in self.plan.ops:
                op.run(frame)
            recorded = self.backend.recorded()
            if recorded is not None and all(op.in_kernels(frame.graph) for op in self.plan.ops):
                frame.replay = partial(replay, frame, recorded, dict(frame.values))
        return logits_of(frame.values["logits"])

    def describe(self) -> list[dict[str, Any]]:
        """Rows of `Plan.describe` with the backend that runs them."""
        return [row | {"backend": self.backend_name} for row in self.plan.describe()]
