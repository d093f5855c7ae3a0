"""`dqviz measure`: times the runs of a study, the bit widths of one network in the same rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dqviz.cli import waiting
from dqviz.cli.output import AsJson, emit, fail, say
from dqviz.errors import BadInput
from dqviz.registry import one_sentence
from dqviz.runs.catalogue import check_all
from dqviz.runs.costs import together
from dqviz.runs.ledger import Ledger
from dqviz.runs.presets import preset, presets
from dqviz.runs.rows import RunRow
from dqviz.runs.store import Store
from dqviz.spec import FULL_PRECISION, MeasureSpec

COLUMNS = ("run_id", "dataset", "arch", "method", "bits_label", "profile", "seed", "latency_ms", "why_not")


def measure(
    study_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A study that was trained here.")] = None,
    name: Annotated[str | None, typer.Option("--preset", help=f"Trained first: {', '.join(presets())}.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of every variant that is timed.")] = 2,
    repeats: Annotated[int, typer.Option(help="Rounds.")] = 30,
    force: Annotated[bool, typer.Option("--force", help="Do not wait until the machine is quiet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Times a study's first seed, each network alone on this machine; what was timed so already stays."""
    timing("", (), threads, repeats, force)  # refused before anything trains
    ledger = Ledger()
    rows = to_time(chosen(study_id, name, ledger), ledger)
    specs = [spec_of(widths, threads, repeats, force) for widths in together(row for row in rows if can_run(row))]
    asked = {ledger.submit_measure(spec) for spec in specs}
    say(f"{len(asked)} networks are timed.")
    done = waiting.wait_for(sorted(asked), ledger) if asked else []
    emit(timed(rows, ledger), as_json, COLUMNS)
    complain(done)


def chosen(study_id: str | None, name: str | None, ledger: Ledger) -> str:
    """The study to time; a preset is trained first, but for what has finished."""
    if (study_id is None) == (name is None):
        raise BadInput(f"Give a study's ID, or --preset with one of: {', '.join(presets())}.")
    if study_id is not None:
        return ledger.study(study_id).study_id
    study = preset(name or "")
    check_all(study.runs)
    submitted = ledger.submit(study)
    say(f"Study {submitted}: {len(study.runs)} runs.")
    waiting.wait(submitted, ledger)
    return submitted


def to_time(study_id: str, ledger: Ledger) -> list[RunRow]:
    """The finished runs of the first seed. Raises BadInput where nothing has finished."""
    rows = ledger.runs(study_id, ["finished"])
    if not rows:
        raise BadInput(f"Study {study_id} has no finished run to time; `dqviz study show {study_id}` shows its runs.")
    first = min(row.seed for row in rows)
    return [row for row in rows if row.seed == first]


def can_run(row: RunRow) -> bool:
    """Whether it has an integer form; full precision is timed in float."""
    return row.bits == FULL_PRECISION or row.test_accuracy_integer is not None


def spec_of(widths: Sequence[RunRow], threads: int, repeats: int, force: bool = False) -> MeasureSpec:
    """On the runs' own graph. Raises BadInput in one sentence when a number does not fit."""
    first, *others = (row.run_id for row in widths)
    return timing(first, others, threads, repeats, force)


def timing(target: str, beside: Sequence[str], threads: int, repeats: int, force: bool) -> MeasureSpec:
    try:
        return MeasureSpec(
            target=target, beside=tuple(beside), threads=threads, repeats=repeats, graphs=(), force=force
        )  # fmt: skip
    except ValueError as error:
        raise BadInput(one_sentence("Timing", error)) from error


def timed(rows: Sequence[RunRow], ledger: Ledger) -> list[dict[str, Any]]:
    """Rows with `latency_ms`, or `why_not`."""
    found = zip(rows, Store(ledger).with_costs(rows), strict=True)
    return [row | {"why_not": why_not(run) if row["latency_ms"] is None else None} for run, row in found]


def why_not(row: RunRow) -> str:
    """Why a run has no latency."""
    if can_run(row):
        return "No timing has a program of this width on the graph that was trained on."
    return str(row.summary.get("integer_reason") or "It has no integer run.")


def complain(done: Sequence[RunRow]) -> None:
    """Says which timings are worth little, and fails where one did not end."""
    busy = [row for row in done if row.summary.get("busy")]
    if busy:
        say(f"{len(busy)} of {len(done)} were timed while the machine was busy: their times scatter.")
    failed = [row for row in done if row.state != "finished"]
    if failed:
        fail(f"{len(failed)} of {len(done)} timings did not finish: {failed[0].error or failed[0].state}")
