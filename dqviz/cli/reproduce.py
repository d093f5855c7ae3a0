"""`dqviz reproduce`: the published tables made again, beside what was reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dqviz.cli import waiting
from dqviz.cli.output import AsJson, emit, fail, say
from dqviz.cli.parse import names
from dqviz.errors import BadInput
from dqviz.runs.artifacts import write_atomically
from dqviz.runs.catalogue import catalogue, check
from dqviz.runs.home import assets_dir, package_dir
from dqviz.runs.kept import pack
from dqviz.runs.ledger import Ledger
from dqviz.runs.reproducing import PREFIX, Reproduction, table, tables
from dqviz.runs.store import Store
from dqviz.spec import Study

COLUMNS = ("dataset", "arch", "method", "bits", "mean", "std", "n", "reported", "difference", "verdict", "seconds")


def reproduce(
    datasets: Annotated[str, typer.Option(help=f"With commas, out of: {', '.join(tables())}.")] = "cora,citeseer",
    out: Annotated[Path | None, typer.Option(help="File to write; default: docs/reproduction.md.")] = None,
    more: Annotated[bool, typer.Option("--more", help="30 seeds where the spread is wide, after the 10.")] = False,
    only_write: Annotated[bool, typer.Option("--only-write", help="Train nothing: write what there is.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Pack the finished studies into assets/studies.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trains the published tables again, but for what has finished, and writes them beside the reported figures."""
    path = out or package_dir().parent / "docs" / "reproduction.md"
    if not path.parent.is_dir():
        raise BadInput(f"The file cannot be written to {str(path)!r}: name a file in a folder that exists.")
    studies = {dataset: table(dataset) for dataset in names(datasets)}
    ledger = Ledger()
    if not only_write:
        run(studies, ledger)
        if more:
            run(wider(studies, ledger), ledger)
    parts = gathered(studies, ledger)
    write(parts, ledger, path)
    if keep:
        kept(parts, Store(ledger))
    emit([row(one) for part in parts for one in results_of(part)], as_json, COLUMNS)
    lacking = sum(map(len, (part.missing() for part in parts)))
    if lacking:
        fail(f"{lacking} cells are not complete; {path} says which.")


def run(studies: dict[str, Study], ledger: Ledger) -> None:
    """Queues the studies and waits for all of their runs; those that have finished stay as they are."""
    known = catalogue()
    for study in studies.values():
        for spec in study.runs:
            check(spec, known)
    for study in studies.values():
        say(f"{study.name}: {len(study.runs)} runs, study {ledger.submit(study)}.")
    wanted = {spec.digest for study in studies.values() for spec in study.runs}
    if wanted:
        waiting.wait_for(lambda: [one for one in ledger.runs() if one.run_id in wanted], ledger)


def wider(studies: dict[str, Study], ledger: Ledger) -> dict[str, Study]:
    """The cells whose spread asks for more seeds, by data set."""
    from dqviz.analysis.reproduction import MORE_SEEDS
    from dqviz.report.reproduction import wide

    found = {part.dataset: part.more([one.key for one in wide(part)], MORE_SEEDS) for part in gathered(studies, ledger)}
    return {dataset: study for dataset, study in found.items() if study is not None}


def gathered(studies: dict[str, Study], ledger: Ledger) -> list[Reproduction]:
    """What the ledger and the kept studies hold of these tables."""
    runs = Store(ledger).runs()
    return [Reproduction.of(dataset, study, runs) for dataset, study in studies.items()]


def write(parts: list[Reproduction], ledger: Ledger, path: Path) -> None:
    from dqviz.report.reproduction import document

    write_atomically(path, document(parts, where(parts, Store(ledger))).encode())
    say(f"Written: {path}")


def where(parts: list[Reproduction], store: Store) -> str:
    """Machine and versions of the first finished run, in one sentence; '' without one."""
    done = [run.run_id for part in parts for run in part.runs if run.state == "finished"]
    known: dict[str, Any] = store.json(done[0], "provenance") if done and store.has(done[0], "provenance") else {}
    if not known:
        return ""
    packages = ", ".join(f"{name} {known['packages'][name]}" for name in ("torch", "torch_geometric"))
    return f"Trained on {known['cpu']} with {known['cpu_count']} cores, {packages}."


def kept(parts: list[Reproduction], store: Store) -> None:
    """Packs each study, further seeds included, under its preset's name."""
    for part in parts:
        target = assets_dir() / "studies" / f"{PREFIX}{part.dataset}"
        say(f"Kept: {target}, {pack(store, part.study.name, part.runs, target):,} bytes.")


def results_of(part: Reproduction) -> list[Any]:
    from dqviz.report.reproduction import results

    return results(part)


def row(one: Any) -> dict[str, Any]:
    """One cell of the JSON document; accuracies are shares of 1."""
    dataset, arch, method, bits = one.key
    return {
        "dataset": dataset, "arch": arch, "method": method, "bits": bits, "mean": one.mean, "std": one.std,
        "lo": one.low, "hi": one.high, "n": len(one.seeds), "reported": one.reported.mean if one.reported else None,
        "reported_std": one.reported.std if one.reported else None, "mark": one.reported.mark if one.reported else None,
        "difference": one.difference, "verdict": one.verdict, "seconds": one.seconds,
    }  # fmt: skip
