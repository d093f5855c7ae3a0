"""Timing of a finished run: its network on its own graph and on a larger one, integer session beside float peers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from dqviz import nn as archs
from dqviz.bench.inference import measure, with_sweep
from dqviz.bench.protocol import idle, machine
from dqviz.columns import TABLES
from dqviz.data.task import Task
from dqviz.errors import Cancelled
from dqviz.integer.kernels.library import instructions
from dqviz.integer.kernels.native import Native
from dqviz.jobs import network
from dqviz.runs.artifacts import read_json
from dqviz.runs.job import Job
from dqviz.spec import MeasureSpec, RunSpec

PATIENCE_S = 120.0
"""How long a measurement waits for the load of the trainings before it to fade; then it times and says it was busy."""


def run(job: Job) -> None:
    """Executes the MeasureSpec of `job` and writes the table `latency`."""
    spec = job.spec
    assert isinstance(spec, MeasureSpec)
    folder = job.target()
    trained = RunSpec.model_validate(read_json(folder, "spec"))
    net = network.restore(trained, folder)
    task = net.task
    others = [restored(job.artifacts_of(run_id), task) for run_id in spec.beside]
    stock = archs.make(trained.arch, task.num_features, task.num_classes, task.kind, trained.arch_settings)
    busy = not spec.force and not wait_for_idle(job.should_stop)
    before = machine()
    notes: list[str] = []
    rows = measure(
        [net.model, *others], stock.eval(), task, trained.arch, threads=spec.threads, repeats=spec.repeats,
        graphs=with_sweep(spec.graphs), force=True, tell=notes.append,
    )  # fmt: skip
    job.staging.write_table("latency", pd.DataFrame(rows).reindex(columns=list(map(str, TABLES["latency"]))))
    about = summary(rows, busy, before["cpu"], notes)
    job.staging.write_json("machine", before | about | {"load_after": os.getloadavg()[0]})
    job.finish(about)


def restored(folder: Path, task: Task) -> nn.Module:
    return network.restore(RunSpec.model_validate(read_json(folder, "spec")), folder, task).model


def wait_for_idle(should_stop: Callable[[], bool]) -> bool:
    """False when the machine was still busy after `PATIENCE_S`. Raises Cancelled when told to stop."""
    deadline = time.monotonic() + PATIENCE_S
    while not idle():
        if should_stop():
            raise Cancelled("Cancelled before timing began.")
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def summary(rows: list[dict[str, Any]], busy: bool, cpu: str, notes: Sequence[str]) -> dict[str, Any]:
    """What the page says about a timing besides its table: the processor, why there are no native kernels (`native`, ''
    where there are), the instructions they used, and what was not timed.
    """
    exact = all(row["exact"] is not False for row in rows)
    return {"rows": len(rows), "busy": busy, "exact": exact, "cpu": cpu, "native": Native.missing(),
            "instructions": instructions(), "notes": list(dict.fromkeys(notes))}  # fmt: skip
