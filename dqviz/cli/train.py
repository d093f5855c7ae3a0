"""`dqviz train`: one run, from the command line to its result."""

from __future__ import annotations

from typing import Annotated

import typer

from dqviz.cli import waiting
from dqviz.cli.output import AsJson, emit, fail
from dqviz.cli.parse import Setting, bits_of, grouped
from dqviz.runs.catalogue import catalogue, check
from dqviz.runs.ledger import Ledger
from dqviz.spec import RunSpec, Study, make_spec


def train(
    dataset: Annotated[str, typer.Option(help="Data set; `dqviz datasets` lists them.")],
    arch: Annotated[str, typer.Option(help="Architecture; `dqviz archs` lists them.")] = "gcn",
    method: Annotated[str, typer.Option(help="Method; `dqviz methods` lists them.")] = "dq",
    bits: Annotated[str, typer.Option(help="2, 3, 4, 8, 16, 32, or a map such as weight=4,feature=8.")] = "8",
    seed: Annotated[int, typer.Option(help="Seed of weights, dropout and protection.")] = 0,
    epochs: Annotated[int, typer.Option(help="Passes over the training nodes.")] = 200,
    profile: Annotated[str, typer.Option(help="Site profile: paper (all sites) or integer (fast kernels).")] = "paper",
    threads: Annotated[int, typer.Option(help="Threads of the run's process.")] = 1,
    setting: Setting = None,
    as_json: AsJson = False,
) -> None:
    """Trains one run in a process of its own and prints its row; the same run is never trained twice."""
    spec = make_spec(
        dataset=dataset, arch=arch, method=method, bits=bits_of(bits), seed=seed, epochs=epochs, profile=profile,
        threads=threads, **grouped(setting),
    )  # fmt: skip
    check(spec, catalogue())
    ledger = Ledger()
    study_id = ledger.submit(Study(name=title(spec), runs=(spec,)))
    row = waiting.wait(study_id, ledger)[0]
    emit(row.row(), as_json)
    if row.state != "finished":
        fail(f"Run {row.run_id} {row.state}: {row.error or 'no reason was given'}")


def title(spec: RunSpec) -> str:
    """Name of the study that one run from the command line becomes."""
    return f"{spec.dataset} {spec.arch} {spec.method} {spec.bits_label} seed {spec.seed}"
