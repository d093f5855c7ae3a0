"""`dqviz bench`: time kernels, inference and training by one protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from dqviz.cli.output import AsJson, emit

app = typer.Typer(help="Time kernels, inference and training.", no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("op", "backend", "precision", "graph", "threads", "median_ms", "p10_ms", "p90_ms", "repeats", "exact")
Threads = Annotated[int, typer.Option(help="Threads of every variant.")]
Repeats = Annotated[int, typer.Option(help="Samples of every variant, interleaved.")]
Graph = Annotated[str, typer.Option(help="cora, computers, slashdot, arxiv-size or reddit-size.")]
Force = Annotated[bool, typer.Option("--force", help="Time on a busy machine all the same.")]


@app.callback()
def bench() -> None:
    """Time kernels, inference and training: variants interleaved in one process, median with p10 and p90."""


@app.command()
def kernels(
    graph: Graph = "arxiv-size",
    features: Annotated[int, typer.Option(help="Columns of the feature matrix.")] = 128,
    threads: Threads = 2,
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """One sparse and one dense product: integer backends beside the float ones."""
    from dqviz.bench.kernels import kernels as timed

    rows = timed(graph, features=features, threads=(threads,), repeats=repeats, force=force)
    emit(rows, as_json, COLUMNS)


@app.command()
def inference(
    graph: Graph = "arxiv-size",
    arch: Annotated[list[str] | None, typer.Option(help="gcn or gin; repeat for more; default: both.")] = None,
    threads: Threads = 2,
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Whole networks and their operations: integer sessions beside the float peers."""
    from dqviz.bench.inference import inference as timed

    rows = timed(graph, archs=arch or ("gcn", "gin"), threads=(threads,), repeats=repeats, force=force)
    emit(rows, as_json, COLUMNS)


@app.command()
def training(
    dataset: Annotated[str, typer.Option("--graph", help="A data set to train on.")] = "cora",
    arch: Annotated[list[str] | None, typer.Option(help="Architecture; repeat for more; default: gcn.")] = None,
    threads: Threads = 1,
    repeats: Repeats = 30,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """One epoch of every method beside plain PyG with dense features."""
    from dqviz.jobs.epochs import training as timed

    rows = timed(dataset, arch or ("gcn",), threads, repeats, force)
    emit(rows, as_json, ("method", *COLUMNS))
