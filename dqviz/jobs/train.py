"""One training run from spec to artifacts: train, read the test split once, trace, analyse, run in integers, save."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from dqviz.analysis.accuracy import accuracy_by_degree
from dqviz.analysis.analyse import analyse
from dqviz.columns import TABLES, Column, error_column
from dqviz.jobs import network
from dqviz.jobs.gradients import gradients
from dqviz.jobs.integer_run import integer_run
from dqviz.jobs.network import Network
from dqviz.jobs.nodes import edge_table, node_table
from dqviz.jobs.provenance import provenance
from dqviz.jobs.sizes import sizes
from dqviz.jobs.smoothness import smoothness
from dqviz.jobs.views import site_views
from dqviz.quant import twin
from dqviz.runs.job import Job
from dqviz.spec import RunSpec
from dqviz.training import Score, Trained, evaluate, trace, train
from dqviz.training.batches import Batch, Feed, collate, split_index, whole_graph
from dqviz.training.ranges import RangeLog

OUTPUT = error_column("output", "accumulated")
MAX_TRACED_NODES = 200_000
"""A graph task is traced on its first test graphs up to this many nodes; the summary says how many."""


def run(job: Job) -> None:
    """Executes the RunSpec of `job`; what it raises, the job turns into a state with one sentence."""
    spec = job.spec
    assert isinstance(spec, RunSpec)
    torch.set_num_threads(spec.threads)
    net = network.build(spec)
    ranges = RangeLog(net.model, spec.epochs)
    trained = train(
        net.model, net.task, net.method, spec.optimizer, spec.epochs, emit=job.emit, should_stop=job.should_stop,
        checkpoint_path=job.checkpoint_path, range_log=ranges,
    )  # fmt: skip
    network.save(net.model, job.staging.path("model.safetensors"))
    job.staging.write_json("provenance", provenance(spec))
    write(job, "metrics", pd.DataFrame(trained.history))
    write(job, "sites", pd.DataFrame(ranges.rows()))
    job.finish(results(job, spec, net, trained))


def write(job: Job, name: str, frame: pd.DataFrame) -> None:
    """A table with the columns TABLES names, also when it has no rows."""
    job.staging.write_table(name, frame.reindex(columns=list(map(str, TABLES[name]))))


def results(job: Job, spec: RunSpec, net: Network, trained: Trained) -> dict[str, Any]:
    """Writes what the evaluation and the analyses find; returns the run's summary."""
    started = time.perf_counter()
    batch, graphs = traced_batch(net)
    test, test_twin = test_scores(net, spec)
    logits, twin_logits, traced = trace(net.model, batch)
    weighed = sizes([recorded for recorded, _ in traced], batch.x)  # before another graph passes: bits may follow it
    write(job, "smoothness", smoothness(net.model, traced, batch))
    as_integers = integer_run(net.model, batch)
    integer_classes = None if as_integers.logits is None else as_integers.logits.argmax(1)
    nodes = node_table(net.task, batch, net.method, net.model.guard, {  # type: ignore[arg-type]
        Column.PREDICTION_TWIN: twin_logits.argmax(1), Column.PREDICTION: logits.argmax(1),
        Column.PREDICTION_INTEGER: integer_classes,
    })  # fmt: skip
    views = site_views(traced, batch.x.size(0), untouched=spec.method == "fp32")
    tables = analyse(views, nodes[Column.DEGREE].to_numpy(), seed=spec.seed)
    errors = tables.pop("node_errors").assign(**{OUTPUT: output_error(logits, twin_logits, batch)})
    for name, table in tables.items():
        write(job, name, table)
    write(job, "accuracy", accuracy_by_degree(nodes))
    write(job, "gradients", gradients(net, spec.seed))
    job.staging.write_table("nodes", pd.concat([nodes, errors], axis=1))
    job.staging.write_json("integer", {"reason": as_integers.reason, "operations": as_integers.operations})
    write(job, "edges", edge_table(batch.edge_index))
    return {
        "val_accuracy": trained.best.accuracy,
        "val_loss": trained.best.loss,
        "best_epoch": trained.best_epoch,
        "test_accuracy": test.accuracy,
        "test_accuracy_twin": test_twin.accuracy,
        "test_accuracy_integer": None if integer_classes is None else share(integer_classes, batch),
        "integer_reason": as_integers.reason,
        "integer_note": as_integers.note,
        "flip_rate": (logits.argmax(1) != twin_logits.argmax(1)).float().mean().item(),
        "quantize_s": trained.quantize_s,
        "epoch_ms_median": statistics.median(row["epoch_ms"] for row in trained.history),
        "size_bytes": network.size_bytes(net.model),
        **weighed,
        "parameters": sum(p.numel() for p in net.model.parameters()),
        "traced_graphs": graphs,
        "worst_site": worst_site(tables["degree"]),
        "notes": list(net.task.notes),
        "analysis_s": time.perf_counter() - started,
    }


def test_scores(net: Network, spec: RunSpec) -> tuple[Score, Score]:
    """Scores on the test split, quantizers on and off: the one place where a run reads it."""
    feed = Feed(net.task, spec.optimizer.batch_size)
    quantized = evaluate(net.model, feed, ("test",))["test"]
    with twin(net.model):
        return quantized, evaluate(net.model, feed, ("test",))["test"]


def traced_batch(net: Network) -> tuple[Batch, int]:
    """The test batch that predictions and analyses are made of, and its number of graphs."""
    task = net.task
    if task.kind == "node":
        return whole_graph(task, "test"), 1
    chosen: list[int] = []
    nodes = 0
    for index in split_index(task, "test").tolist():
        nodes += int(task.graphs[index].num_nodes or 0)
        if chosen and nodes > MAX_TRACED_NODES:
            break
        chosen.append(index)
    return collate(task, chosen), len(chosen)


def share(classes: Tensor, batch: Batch) -> float:
    """Accuracy on the scored rows."""
    return (classes[batch.scored] == batch.y[batch.scored]).float().mean().item()


def output_error(logits: Tensor, twin_logits: Tensor, batch: Batch) -> Any:
    """Relative L2 error of each node's logits against the twin's [num_nodes] (in a graph task: of its graph's)."""
    size = twin_logits.norm(dim=1)
    error = (logits - twin_logits).norm(dim=1) / torch.where(size > 0, size, torch.nan)
    return (error if batch.batch is None else error[batch.batch]).numpy()


def worst_site(degree: pd.DataFrame) -> dict[str, Any] | None:
    """The site whose local error is largest relative to its signal (lowest SQNR over all nodes)."""
    local = degree[degree[Column.KIND] == "local"]
    if local.empty or local[Column.SQNR_DB].isna().all():
        return None
    noise = local[Column.MSE] * local[Column.NODES]
    energy = local.assign(noise=noise, signal=noise * 10 ** (local[Column.SQNR_DB] / 10))
    sums = energy.groupby(str(Column.KEY))[["noise", "signal"]].sum()
    relative = (sums["noise"] / sums["signal"]).dropna()
    if relative.empty:
        return None
    return {"key": str(relative.idxmax()), "noise_to_signal": float(relative.max())}
