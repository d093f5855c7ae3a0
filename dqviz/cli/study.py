"""`dqviz study`: start, list, show, cancel and keep studies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dqviz.cli import waiting
from dqviz.cli.output import AsJson, emit, fail, say
from dqviz.errors import BadInput
from dqviz.runs.artifacts import file_name
from dqviz.runs.catalogue import check_all
from dqviz.runs.home import assets_dir
from dqviz.runs.kept import pack
from dqviz.runs.ledger import Ledger, RunRow
from dqviz.runs.presets import preset, presets, read_study
from dqviz.runs.store import Store
from dqviz.spec import MAX_RUNS_UNASKED, Study

app = typer.Typer(help="Start, list, show, cancel and keep studies.", no_args_is_help=True, rich_markup_mode=None)
StudyId = Annotated[str, typer.Argument(metavar="ID", help="A study; `dqviz study list` shows them.")]
COLUMNS = ("run_id", "state", "dataset", "arch", "method", "bits_label", "profile", "seed", "val_accuracy",
           "test_accuracy", "test_accuracy_integer", "epoch_ms_median", "wall_s", "error")  # fmt: skip


@app.command()
def start(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.yaml]", help="A product file.")] = None,
    name: Annotated[str | None, typer.Option("--preset", help=f"One of: {', '.join(presets())}.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing more will happen to its runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large study.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queues a study; with --wait also trains it when no worker is alive."""
    study = chosen(file, name)
    check_all(study.runs)
    consent(study, yes)
    ledger = Ledger()
    study_id = ledger.submit(study)
    say(f"Study {study_id}: {len(study.runs)} runs.")
    if wait:
        waiting.wait(study_id, ledger)
    rows = ledger.runs(study_id)
    emit(document(ledger.study(study_id).row(), rows) if as_json else [row.row() for row in rows], as_json, COLUMNS)
    unfinished = [row for row in rows if row.state != "finished"]
    if wait and unfinished:
        fail(f"{len(unfinished)} of {len(rows)} runs did not finish; `dqviz study show {study_id}` says why.")
    if not wait:
        say("Trained by the worker: `make app` starts one, so does `dqviz worker`.")


@app.command("list")
def list_studies(as_json: AsJson = False) -> None:
    """All studies, the newest first, and the demo."""
    emit([study.row() for study in Store(Ledger()).studies()], as_json, ("study_id", "name", "state", "runs"))


@app.command()
def show(study_id: StudyId, as_json: AsJson = False) -> None:
    """One study and its runs."""
    store = Store(Ledger())
    rows = store.runs(study_id)
    emit(document(store.study(study_id).row(), rows) if as_json else [row.row() for row in rows], as_json, COLUMNS)


@app.command()
def cancel(study_id: StudyId, as_json: AsJson = False) -> None:
    """Cancels a study's runs; those that another study wants go on."""
    ledger = Ledger()
    if Store(ledger).study(study_id).demo:
        raise BadInput(f"Study {study_id!r} comes with dqviz and has finished: there is nothing to cancel.")
    emit({"study_id": study_id, "cancelled": ledger.cancel_study(study_id)}, as_json)


@app.command()
def keep(
    study_id: StudyId,
    name: Annotated[str, typer.Option("--as", help="Its name in the folder of kept studies.")],
    out: Annotated[Path | None, typer.Option(help="Folder of kept studies; default: assets/studies.")] = None,
    scores_only: Annotated[bool, typer.Option("--scores-only", help="Leave out tables by node, site, epoch.")] = False,
    as_json: AsJson = False,
) -> None:
    """Packs a study's finished runs (scores and tables, no models) so that every checkout shows them."""
    target = (out or assets_dir() / "studies") / file_name(name)
    store = Store(Ledger())
    size = pack(store, store.study(study_id).name, store.runs(study_id), target, scores_only=scores_only)
    emit({"study_id": study_id, "folder": str(target), "size_bytes": size}, as_json)


def chosen(file: Path | None, name: str | None) -> Study:
    """The study that was asked for: exactly one of a file and a preset."""
    if (file is None) == (name is None):
        raise BadInput(f"Give a study file, or --preset with one of: {', '.join(presets())}.")
    if file is not None and not file.exists() and file.name in presets():
        raise BadInput(f"{file.name} is a preset, not a file: give it as --preset {file.name}.")
    return read_study(file) if file is not None else preset(name or "")


def consent(study: Study, yes: bool) -> None:
    """Asks before more than 2,000 runs; without anybody to ask it is refused."""
    if yes or len(study.runs) <= MAX_RUNS_UNASKED:
        return
    size = f"{len(study.runs):,} runs are more than {MAX_RUNS_UNASKED:,}"
    if not sys.stdin.isatty():
        raise BadInput(f"{size}: add --yes to start them all the same.")
    if not typer.confirm(f"{size}. Start them?", err=True):
        raise BadInput("Nothing was started.")


def document(study: dict[str, Any], rows: list[RunRow]) -> dict[str, Any]:
    """A study with its runs: `rows` holds what DESIGN.md section 6 promises of each."""
    return {**study, "rows": [row.row() for row in rows]}
