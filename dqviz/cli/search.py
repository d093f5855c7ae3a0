"""`dqviz search`: hyperparameters for each method, architecture and bit width, with the same budget for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dqviz.cli.output import AsJson, emit, fail, say
from dqviz.cli.parse import names, numbers
from dqviz.errors import BadInput
from dqviz.runs.home import home

if TYPE_CHECKING:
    from dqviz.jobs.search.cells import Outcome

COLUMNS = ("dataset", "arch", "method", "bits", "val_accuracy", "trials", "pruned", "failed", "seconds", "settings",
           "error")  # fmt: skip


def search(
    dataset: Annotated[str, typer.Option(help="Data set; `dqviz datasets` lists them.")] = "",
    preset: Annotated[str, typer.Option(help="Instead of data set, architectures, methods, bits: a preset's cells.")]
    = "",
    archs: Annotated[str, typer.Option(help="Architectures, with commas.")] = "gcn,gin,gat",
    methods: Annotated[str, typer.Option(help="Methods, with commas.")] = "fp32,ptq,qat,nqat,dq",
    bits: Annotated[str, typer.Option(help="Bit widths, with commas; FP32 is searched once.")] = "8,4,2",
    trials: Annotated[int, typer.Option(help="Budget of each cell, trials of earlier starts included.")] = 20,
    seeds: Annotated[str, typer.Option(help="Search seeds, with commas; from 100 on, apart from final ones.")]
    = "1000,1001",
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 200,
    sampler_seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    finalists: Annotated[int, typer.Option(min=0, help="So many of the best trials, and the cell in the file, are "
                                           "judged on --final-seeds as well.")] = 0,
    final_seeds: Annotated[str, typer.Option(help="Further search seeds for finalists, with commas.")]
    = "1002,1003,1004,1005",
    jobs: Annotated[int, typer.Option(min=1, help="Cells searched at once, one thread each.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for DATASET.yaml; presets read dqviz/training/settings. "
                                  "Default: settings in DQVIZ_HOME.")
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Searches settings by validation accuracy alone: no trial sees the test split. Goes on where it stopped."""
    from dqviz.jobs.search import plans, plans_of
    from dqviz.jobs.search import search as searched

    if bool(dataset) == bool(preset):
        raise BadInput("Give a data set, or --preset with a preset whose cells are to be searched.")
    budget: dict[str, Any] = {"trials": trials, "epochs": epochs, "seeds": numbers(seeds), "sampler_seed": sampler_seed,
                              "finalists": finalists, "final_seeds": numbers(final_seeds)}  # fmt: skip
    wanted = (plans_of(preset, **budget) if preset else
              plans(dataset, names(archs), names(methods), numbers(bits), **budget))  # fmt: skip
    folder = out or home() / "settings"
    began = time.monotonic()
    try:
        outcomes = searched(wanted, folder, jobs, say)
    except KeyboardInterrupt:
        say("Stopped by Ctrl-C; the same command goes on from here.")
        raise
    rows = [row(outcome) for outcome in outcomes]
    files = ", ".join(dict.fromkeys(str(folder / f"{plan.dataset}.yaml") for plan in wanted))
    say(f"{len(rows)} cells in {time.monotonic() - began:.0f} s; settings in {files}")
    emit(rows, as_json, shown(rows))
    failures = [outcome.error for outcome in outcomes if outcome.error]
    if failures:
        fail(" ".join(failures))


def row(outcome: Outcome) -> dict[str, Any]:
    """One line of the command's table."""
    plan, cell = outcome.plan, outcome.cell
    about = {"dataset": plan.dataset, "arch": plan.arch, "method": plan.method, "bits": plan.bits}
    if cell is None:
        return {**about, "val_accuracy": None, "error": outcome.error}
    found = cell.found.model_dump(include={"trials", "pruned", "failed", "seconds", "study"})
    settings = {**cell.optimizer, **cell.arch_settings, **cell.method_settings}
    return {**about, "val_accuracy": cell.val_accuracy, **found, "settings": settings, "error": None}


def shown(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return COLUMNS if any(one["error"] for one in rows) else COLUMNS[:-1]
