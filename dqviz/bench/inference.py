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
from dqviz.bench.graphs import load_graph
from dqviz.bench.networks import DENSE_LIMIT_BYTES, Work, float_cases, integer_cases
from dqviz.bench.protocol import measure as time_all
from dqviz.bench.protocol import pinned, require_idle
from dqviz.bench.rows import PRECISIONS, Row, row
from dqviz.bench.sample import sample_features, sample_model, uncached
from dqviz.data.task import Task
from dqviz.errors import Unavailable

COPY_BYTES = 2**28
"""Bytes read and written by the copy: more than any cache of this class of machine."""


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
) -> list[Row]:
    """Rows (TABLES['latency']) of a trained network on its own graph and on larger ones with the same layer sizes.

    `models`: quantized and trained, one a bit width, timed in the same rounds so that their ratios hold; `stock`: the
    same architecture without quantizers (`stock_of` fills in the weights of the first).
    A network without an integer form gives its float rows. Larger graphs (node tasks) get random features of the same
    density. Raises BadInput for a thread count or graph that is not there, Unavailable on a busy machine unless forced.
    """
    stock_of(models[0], stock)
    by_precision = {program_precision(model): model for model in reversed(models)}
    works = [own_work(task)]
    if task.kind == "node":
        works += [larger_work(name, works[0].x) for name in graphs]
    rows = []
    with pinned(threads), torch.no_grad():
        require_idle(force)
        for work in works:
            if work is works[0] or work.dense_bytes <= DENSE_LIMIT_BYTES or sparse_first(stock):
                rows += timed(by_precision, stock, work, arch, threads, repeats)
        rows.append(copy_row(works[0], threads, repeats))
    return rows


def copy_row(work: Work, threads: int, repeats: int) -> Row:
    """A plain copy of a block that no cache holds (op 'copy'): the bandwidth that other rows are held against."""
    source = torch.ones(COPY_BYTES // 8)
    target = torch.empty_like(source)
    timing = time_all({"copy": lambda: target.copy_(source)}, repeats)["copy"]
    return row("copy", "dqviz", "fp32", work.name, work.sizes, threads, timing, exact=None, bytes_moved=COPY_BYTES)


def inference(
    graph: str = "arxiv-size",
    *,
    archs: Sequence[str] = ("gcn", "gin"),
    threads: Sequence[int] = (2,),
    repeats: int = 30,
    bits: Sequence[int] = (8, 4),
    force: bool = False,
) -> list[Row]:
    """Rows of `bench inference`: networks 128-256-256-40 with calibrated random weights on a graph of `GRAPHS`."""
    structure = load_graph(graph)
    work = Work(graph, sample_features(structure.num_nodes), structure.edge_index)
    rows = []
    for count in threads:
        with pinned(count), torch.no_grad():
            require_idle(force)
            for arch in archs:
                models = {PRECISIONS[width]: sample_model(arch, width) for width in bits}
                stock = sample_model(arch, None)
                rows += timed(models, stock, work, arch, count, repeats)
    return rows


def timed(
    models: Mapping[str, nn.Module], stock: nn.Module, work: Work, arch: str, threads: int, repeats: int
) -> list[Row]:
    """All variants of one network on one graph, each operation interleaved with its peers. models: by precision."""
    models = {precision: uncached(model) for precision, model in models.items()}
    cases = float_cases(next(iter(models.values())), uncached(stock), work, arch)
    for precision, model in models.items():
        if precision != "fp32":
            cases += integer_cases(model, precision, work, arch, threads)
    timings = {}
    for op in dict.fromkeys(case.op for case in cases):
        timings.update(time_all({case.name: case.run for case in cases if case.op == op}, repeats))
    return [row(case.op, case.backend, case.precision, work.name, work.sizes, threads, timings[case.name],
                exact=case.exact, bytes_moved=case.bytes_moved) for case in cases]  # fmt: skip


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
    if task.kind == "node":
        return Work(task.name, task.graphs[0].x, task.graphs[0].edge_index)
    merged = Batch.from_data_list([task.graphs[int(index)] for index in task.splits["test"]])
    return Work(task.name, merged.x, merged.edge_index, merged.batch)


def larger_work(name: str, like: Tensor) -> Work:
    """A graph of `GRAPHS` with random features of the width and density of `like`."""
    structure = load_graph(name)
    return Work(name, sample_features(structure.num_nodes, like), structure.edge_index)
