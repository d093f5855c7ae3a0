"""bench scale: how times grow with the graph, for the sparse product by itself and for a GCN end to end."""

from __future__ import annotations

from collections.abc import Sequence

from dqviz.bench.cases import COPY, Tell, say_nothing
from dqviz.bench.graphs import SWEEP
from dqviz.bench.inference import BITS, inference
from dqviz.bench.kernels import kernels
from dqviz.bench.rows import Row


def scale(
    *,
    features: int = 128,
    threads: Sequence[int] = (2,),
    repeats: int = 30,
    bits: Sequence[int] = BITS,
    graphs: Sequence[str] = SWEEP,
    force: bool = False,
    tell: Tell = say_nothing,
) -> list[Row]:
    """Rows of `kernels` (without the dense product) and of `inference` (GCN) on graphs of growing size."""
    rows: list[Row] = []
    for graph in graphs:
        busy = force or bool(rows)  # the load of the graphs before is our own
        rows += kernels(graph, features=features, threads=threads, repeats=repeats, bits=bits, force=busy, dense=False,
                        tell=tell)  # fmt: skip
        whole = inference(graph, archs=("gcn",), threads=threads, repeats=repeats, bits=bits, force=True, tell=tell)
        rows += [row for row in whole if row["op"] != COPY]
    return rows
