"""`dqviz worker`, and `dqviz demo`, which trains the study in assets/demo again."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from dqviz.cli import waiting
from dqviz.cli.output import AsJson, emit
from dqviz.errors import BadInput, DqvizError
from dqviz.runs import worker as workers
from dqviz.runs.costs import together
from dqviz.runs.demo import export
from dqviz.runs.engines import ENGINES, Engine, Local
from dqviz.runs.home import assets_dir
from dqviz.runs.ledger import Ledger
from dqviz.runs.presets import preset
from dqviz.runs.rows import RunRow
from dqviz.runs.shelf import require_replaceable, size_of
from dqviz.runs.store import Store
from dqviz.spec import MeasureSpec


def worker(
    engine: Annotated[str, typer.Option(help="Who places the processes; local: this machine.")] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the engine's scheduler, tcp://host:port.")] = None,
    slots: Annotated[int | None, typer.Option(help="Threads busy at once; default: the number of cores.")] = None,
    idle_s: Annotated[float | None, typer.Option(help="End after so many seconds without work.")] = None,
    as_json: AsJson = False,
) -> None:
    """Trains what is queued until it is stopped; trainings it has started go on without it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    placed = engine_of(engine, address)
    worked = workers.main_loop(Ledger(), placed, patient=idle_s is None, slots=slots, idle_s=idle_s)
    emit({"worked": worked}, as_json)


def engine_of(name: str, address: str | None) -> Engine:
    """The engine of that name; BadInput lists the choices, and refuses an address where there is no scheduler."""
    entry = ENGINES[name]
    if address and entry.factory is Local:
        raise BadInput(f"Engine {name!r} runs on this machine and takes no address.")
    return entry.make(address) if address else entry.make()


def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: assets/demo.")] = None,
    as_json: AsJson = False,
) -> None:
    """Trains the demo study again, in a home of its own, times it and writes it to assets/demo."""
    target = out or assets_dir() / "demo"
    require_replaceable(target)
    with tempfile.TemporaryDirectory(prefix="dqviz-demo-") as home:
        os.environ["DQVIZ_HOME"] = home
        os.environ.pop("DQVIZ_DATABASE", None)
        rows = make_demo(target)
    emit({"folder": str(target), "runs": len(rows), "size_bytes": size_of(target)}, as_json)


def make_demo(target: Path) -> list[RunRow]:
    """Trains and measures the preset `demo` in the present home, then exports it."""
    ledger = Ledger()
    study_id = ledger.submit(preset("demo"))
    try:
        return trained_and_timed(ledger, study_id, target)
    finally:
        for row in ledger.active():  # after Ctrl-C: nothing may go on in a home that is about to vanish
            ledger.cancel(row.run_id)


def trained_and_timed(ledger: Ledger, study_id: str, target: Path) -> list[RunRow]:
    """Every run finished, one seed of each kind measured, all of it exported."""
    rows = all_finished(waiting.wait(study_id, ledger))
    measures = [ledger.submit_measure(measurement(widths)) for widths in to_measure(rows)]
    all_finished(waiting.wait_for(measures, ledger))
    export(Store(ledger), study_id, target)
    return rows


def measurement(widths: list[RunRow]) -> MeasureSpec:
    """On the runs' own graph; Degree-Quant's GCN on a large graph too (that takes a minute)."""
    first, *others = widths
    large = first.arch == "gcn" and first.method == "dq"
    return MeasureSpec(
        target=first.run_id, beside=tuple(row.run_id for row in others), graphs=("arxiv-size",) if large else ()
    )


def to_measure(rows: list[RunRow]) -> list[list[RunRow]]:
    """The bit widths of each architecture and method, first seed, that have an integer run: timed together."""
    return together(row for row in rows if row.test_accuracy_integer is not None and row.seed == 0)


def all_finished(rows: list[RunRow]) -> list[RunRow]:
    for row in rows:
        if row.state != "finished":
            raise DqvizError(f"Run {row.run_id} {row.state}: {row.error or 'no reason was given'}")
    return rows
