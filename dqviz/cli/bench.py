"""`dqviz bench`: time kernels, inference and training by one protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from dqviz.cli.output import AsJson, emit, say
from dqviz.cli.parse import numbers

app = typer.Typer(help="Time kernels, inference and training.", no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("op", "backend", "precision", "graph", "threads", "median_ms", "p10_ms", "p90_ms", "repeats", "exact")
COMPARED = (*COLUMNS, "speedup", "speedup_pyg", "bandwidth_share")
Threads = Annotated[str, typer.Option(help="Threads of every variant; several with commas: 1,2.")]
Bits = Annotated[str, typer.Option(help="Bit widths of the integer variants, with commas.")]
Repeats = Annotated[int, typer.Option(help="Samples of every variant, interleaved; 5 of one that takes over 0.5 s.")]
Graph = Annotated[str, typer.Option(help="cora, computers, slashdot, arxiv-size, reddit-size, heavy-1k to heavy-80k.")]
Features = Annotated[int, typer.Option(help="Columns of the feature matrix.")]
Force = Annotated[bool, typer.Option("--force", help="Time on a busy machine all the same.")]
ALLOCATION = {"THP_MEM_ALLOC_ENABLE": "1"}
"""torch then asks for 2 MB pages for large tensors, as numpy does by itself: the float peers get what others have."""


@app.callback()
def bench() -> None:
    """Time kernels, inference, training and growth with the graph: interleaved variants, median with p10 and p90."""
    os.environ.update(ALLOCATION)  # torch reads it when it is imported, which the commands do


@app.command()
def kernels(
    graph: Graph = "arxiv-size",
    features: Features = 128,
    threads: Threads = "2",
    bits: Bits = "8,4,2",
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """One sparse and one dense product: integer backends beside the float ones."""
    from dqviz.bench import kernels as timed

    show(lambda: timed(graph, features=features, threads=numbers(threads), bits=numbers(bits), repeats=repeats,
                       force=force, tell=say), as_json)  # fmt: skip


@app.command()
def inference(
    graph: Graph = "arxiv-size",
    arch: Annotated[list[str] | None, typer.Option(help="gcn, gin, sage, gat; repeat for more; default: all.")] = None,
    threads: Threads = "2",
    bits: Bits = "8,4,2",
    backend: Annotated[
        list[str] | None, typer.Option(help="Integer kernels; repeat for more; default: all that run here.")
    ] = None,
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Whole networks and their operations: integer sessions beside the float peers."""
    from dqviz.bench import inference as timed
    from dqviz.bench.inference import ARCHS

    show(lambda: timed(graph, archs=arch or ARCHS, threads=numbers(threads), bits=numbers(bits),
                       backends=backend or (), repeats=repeats, force=force, tell=say), as_json)  # fmt: skip


@app.command()
def scale(
    features: Features = 128,
    threads: Threads = "2",
    bits: Bits = "8,4,2",
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """The sparse product and a GCN on graphs of growing size, from 1,000 to 169,343 nodes."""
    from dqviz.bench import scale as timed

    show(lambda: timed(features=features, threads=numbers(threads), bits=numbers(bits), repeats=repeats, force=force,
                       tell=say), as_json)  # fmt: skip


@app.command()
def training(
    dataset: Annotated[str, typer.Option("--graph", help="A data set to train on.")] = "cora",
    arch: Annotated[
        list[str] | None, typer.Option(help="Architecture; repeat for more; default: gcn, gin, gat; on graphs: gin.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of every variant.")] = 1,
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """One epoch of FP32, QAT and DQ beside plain PyG with dense features: --graph cora, reddit-binary, ..."""
    from dqviz.jobs.epochs import training as timed

    with loads():
        rows = timed(dataset, arch or (), threads, repeats, force)
    emit(rows, as_json, ("method", *COLUMNS[:-1], "speedup_pyg", "of_fp32"))


def show(timed: Callable[[], list[dict[str, Any]]], as_json: bool) -> None:
    """Times and prints: rows on stdout, the machine and its load before and after on stderr."""
    from dqviz.bench import compared

    with loads():
        rows = timed()
    emit(compared(rows), as_json, COMPARED)


@contextmanager
def loads() -> Iterator[None]:
    """Says on stderr what was timed on, and how busy it was before and after."""
    from dqviz.bench import machine

    about = machine()
    load = about.pop("load_1min")
    say(", ".join(f"{name} {value}" for name, value in about.items()))
    say(f"load before: {load:.2f}")
    yield
    say(f"load after: {machine()['load_1min']:.2f} (one thread of our own counts as 1)")
