"""bench inference: whole networks and their operations, integer sessions beside float peers, interleaved.

End to end means: features in, logits out, with everything that depends only on the graph (normalisation, CSR) prepared
before, for every backend alike (PyG caches it with `cached=True`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from dqviz import integer
from dqviz.bench.cases import Tell, copy_rows, say_nothing, timed_rows
from dqviz.bench.graphs import SWEEP, load_graph
from dqviz.bench.networks import DENSE_LIMIT_BYTES, Work, float_cases, integer_cases
from dqviz.bench.protocol import pinned, require_idle
from dqviz.bench.rows import PRECISIONS, Row, require_widths
from dqviz.bench.sample import sample_features, sample_model, uncached
from dqviz.data.task import Task
from dqviz.errors import Unavailable
from dqviz.integer.kernels import BACKENDS
from dqviz.nn import ARCHS as REGISTERED

ARCHS = ("gcn", "gin", "sage", "gat")
BITS = (8, 4, 2)


def measure(
    models: Sequence[nn.Module],
    stock: nn.Module,
    task: Task,
    arch: str,
    *,
    threads: int = 2,
    repeats: int = 30,
    graphs: Sequence[str] = ("arxiv-size",),
    force: bool = False,
    tell: Tell = say_nothing,
) -> list[Row]:
    """Rows (TABLES['latency']) of a trained network on its own graph and on larger ones with the same layer sizes.

    `models`: quantized and trained, one a bit width, timed in the same rounds so that their ratios hold; `stock`: the
    same architecture without quantizers (`stock_of` fills in the weights of the first).
    A network without an integer form gives its float rows. Larger graphs (node tasks) get random features of the same
    density. Raises BadInput for a thread count or graph that is not there, Unavailable on a busy machine unless forced.
    `tell` gets a sentence for each variant that is not timed.
    """
    stock_of(models[0], stock)
    by_precision: dict[str, nn.Module] = {}
    for model in models:
        by_precision.setdefault(program_precision(model), model)
    rows = []
    with pinned(threads), torch.no_grad():
        require_idle(force)
        own = own_work(task)
        for name in (None, *(graphs if task.kind == "node" else ())):
            work = own if name is None else larger_work(name, own.x)
            if work is own or work.dense_bytes <= DENSE_LIMIT_BYTES or sparse_first(stock):
                rows += timed(by_precision, stock, work, arch, threads, repeats, tell)
        rows += copy_rows(own.name, own.sizes, threads, repeats)
    return rows


def with_sweep(graphs: Sequence[str]) -> tuple[str, ...]:
    """The graphs, and before them the smaller ones that a curve over size needs."""
    return tuple(dict.fromkeys([*SWEEP, *graphs])) if graphs else ()


def inference(
    graph: str = "arxiv-size",
    *,
    archs: Sequence[str] = ARCHS,
    threads: Sequence[int] = (2,),
    repeats: int = 30,
    bits: Sequence[int] = BITS,
    backends: Sequence[str] = (),
    force: bool = False,
    tell: Tell = say_nothing,
) -> list[Row]:
    """Rows of `bench inference`: networks 128-256-256-40 with calibrated random weights on a graph of `GRAPHS`.

    backends: the integer ones to time; all that run here when not given. Raises BadInput for an unknown width, backend
    or architecture before anything is built.
    """
    require_widths(bits)
    for name in backends:
        BACKENDS[name]
    for name in archs:
        REGISTERED[name]
    structure = load_graph(graph)
    work = Work(graph, sample_features(structure.num_nodes), structure.edge_index)
    rows = []
    for count in threads:
        with pinned(count), torch.no_grad():
            require_idle(force)
            for arch in archs:
                models = {PRECISIONS[width]: sample_model(arch, width) for width in bits}
                rows += timed(models, sample_model(arch, None), work, arch, count, repeats, tell, backends)
            rows += copy_rows(graph, work.sizes, count, repeats)
    return rows


def timed(
    models: Mapping[str, nn.Module],
    stock: nn.Module,
    work: Work,
    arch: str,
    threads: int,
    repeats: int,
    tell: Tell,
    backends: Sequence[str] = (),
) -> list[Row]:
    """All variants of one network on one graph in the same rounds. models: by precision."""
    models = {precision: uncached(model) for precision, model in models.items()}
    cases = float_cases(next(iter(models.values())), uncached(stock), work, arch, threads, tell)
    for precision, model in models.items():
        if precision != "fp32":
            cases += integer_cases(model, precision, work, arch, threads, tell, backends)
    return timed_rows(cases, work.name, work.sizes, threads, repeats)


def program_precision(model: nn.Module) -> str:
    """The widest site of a network's integer program: what its bar is called; 'fp32' where it has none."""
    try:
        program = integer.plan(model)
    except Unavailable:
        return "fp32"
    return PRECISIONS[max(op.out.bits for op in program.ops if op.out is not None)]


def stock_of(model: nn.Module, stock: nn.Module) -> None:
    """Fills a stock network with the weights of its quantized form; names agree except where a parameter is wrapped."""
    state = {name.replace("parametrizations.", "").removesuffix(".original"): value
             for name, value in model.state_dict().items()}  # fmt: skip
    stock.load_state_dict({name: state[name] for name in stock.state_dict()})


def sparse_first(stock: Any) -> bool:
    return not stock.gathers


def own_work(task: Task) -> Work:
    """The graph of a node task; all graphs of a test split as one batch for a graph task."""
    test = task.splits["test"]
    if task.kind == "node":
        graph = task.graphs[0]
        return Work(task.name, graph.x, graph.edge_index, None, graph.y, test)
    merged = Batch.from_data_list([task.graphs[int(index)] for index in test])
    return Work(task.name, merged.x, merged.edge_index, merged.batch, merged.y, torch.ones(len(test), dtype=torch.bool))


def larger_work(name: str, like: Tensor) -> Work:
    """A graph of `GRAPHS` with random features of the width and density of `like`."""
    structure = load_graph(name)
    return Work(name, sample_features(structure.num_nodes, like), structure.edge_index)
