"""`dqviz reproduce`: the published tables made again, beside what was reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dqviz.cli import waiting
from dqviz.cli.output import AsJson, emit, fail, say
from dqviz.cli.parse import names
from dqviz.errors import BadInput
from dqviz.runs.artifacts import write_atomically
from dqviz.runs.catalogue import check_all
from dqviz.runs.home import assets_dir, package_dir
from dqviz.runs.kept import pack
from dqviz.runs.latencies import latencies
from dqviz.runs.ledger import Ledger
from dqviz.runs.presets import preset
from dqviz.runs.reproducing import DEGREE_QUANT, LATENCY, LOW_BIT, Reproduction, table, tables
from dqviz.runs.store import Store
from dqviz.spec import Study

if TYPE_CHECKING:
    from dqviz.analysis.infos.low_bit import LowBitLine
    from dqviz.analysis.reproduction import Result
    from dqviz.report.reproduction import Made

COLUMNS = ("dataset", "arch", "method", "bits", "mean", "std", "n", "reported", "difference", "verdict", "seconds")
FILES = {DEGREE_QUANT: "reproduction.md", LOW_BIT: "lowbit.md"}
"""Table -> its file in docs."""


def reproduce(
    kind: Annotated[str, typer.Option("--table", help=f"One of: {', '.join(FILES)}.")] = DEGREE_QUANT,
    datasets: Annotated[str, typer.Option(help=f"With commas, out of: {', '.join(tables())}.")] = "cora,citeseer",
    out: Annotated[Path | None, typer.Option(help="File to write; default: docs/reproduction.md or lowbit.md.")] = None,
    more: Annotated[bool, typer.Option("--more", help="30 seeds where the spread is wide, after the 10.")] = False,
    missing: Annotated[bool, typer.Option("--missing", help="Do not train again what a kept study holds.")] = False,
    only_write: Annotated[bool, typer.Option("--only-write", help="Train nothing: write what there is.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Pack the finished studies into assets/studies.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trains the published tables again, but for what has finished, and writes them beside the reported figures.

    The file in docs also holds the tables of other data sets that have finished runs.
    """
    studies = asked(datasets, kind)
    path = out or package_dir().parent / "docs" / FILES[kind]
    if not path.parent.is_dir():
        raise BadInput(f"The file cannot be written to {str(path)!r}: name a file in a folder that exists.")
    ledger = Ledger()
    if not only_write:
        run(studies, ledger, missing)
        if more:
            run(wider(gathered(studies, ledger, kind)), ledger, missing)
    found = gathered(studies, ledger, kind)
    write(found if out else begun(kind, found, ledger), Store(ledger), kind, path)
    if keep:
        kept(found, Store(ledger))
    emit([one for made in found for one in rows(made)], as_json, COLUMNS)
    open_cells = sum(len({*made.part.missing(), *(one.key for one in made.asking if more)}) for made in found)
    if open_cells:
        fail(f"{open_cells} cells are not complete; {path} says which.")


def asked(datasets: str, kind: str) -> dict[str, Study]:
    """The studies of the data sets that were named. Raises BadInput with the choices for another, or for none."""
    found = {dataset: table(dataset, kind) for dataset in names(datasets)}
    if not found:
        raise BadInput(f"Name a data set of a published table; choose one of: {', '.join(tables(kind))}.")
    return found


def begun(kind: str, found: Sequence[Made], ledger: Ledger) -> Sequence[Made]:
    """`found`, and before or after it each other table that has a finished run, in the order of their names."""
    named = {made.part.dataset: made for made in found}
    order = tables(kind)
    others = {dataset: table(dataset, kind) for dataset in order if dataset not in named}
    some = [made for made in gathered(others, ledger, kind) if any(run.state == "finished" for run in made.part.runs)]
    return sorted([*found, *some], key=lambda made: order.index(made.part.dataset))


def run(studies: dict[str, Study], ledger: Ledger, missing: bool) -> None:
    """Queues the studies and waits for all of their runs; those that have finished stay as they are.

    `missing`: without what a kept study holds.
    """
    if missing:
        studies = lacking(studies, ledger)
    check_all(spec for study in studies.values() for spec in study.runs)
    for study in studies.values():
        say(f"{study.name}: {len(study.runs)} runs, study {ledger.submit(study)}.")
    wanted = [spec.digest for study in studies.values() for spec in study.runs]
    if wanted:
        waiting.wait_for(wanted, ledger)


def lacking(studies: dict[str, Study], ledger: Ledger) -> dict[str, Study]:
    """Those runs that have finished nowhere: a table of many hours can be made in parts, each on another machine."""
    done = {row.run_id for row in Store(ledger).runs() if row.state == "finished"}
    left = {name: tuple(spec for spec in study.runs if spec.digest not in done) for name, study in studies.items()}
    return {name: Study(name=studies[name].name, runs=runs) for name, runs in left.items() if runs}


def wider(found: Sequence[Made]) -> dict[str, Study]:
    """The cells that ask for more seeds, by data set."""
    from dqviz.analysis.reproduction import MORE_SEEDS

    more = {made.part.dataset: made.part.more([one.key for one in made.asking], MORE_SEEDS) for made in found}
    return {dataset: study for dataset, study in more.items() if study is not None}


def gathered(studies: dict[str, Study], ledger: Ledger, kind: str) -> Sequence[Made]:
    """What the ledger and the kept studies hold of these tables."""
    from dqviz.report.low_bit import MadeLowBit
    from dqviz.report.reproduction import Made

    store = Store(ledger)
    known = store.runs()
    parts = [Reproduction.of(dataset, study, known, kind) for dataset, study in studies.items()]
    if kind == LOW_BIT:
        timed = preset(LATENCY)
        found = [latencies(part.specs, timed, known, store.with_costs) for part in parts]
        return [MadeLowBit.with_costs(part, store.with_costs(part.runs), of_cells)
                for part, of_cells in zip(parts, found, strict=True)]  # fmt: skip
    return [Made.of(part) for part in parts]


def write(found: Sequence[Made], store: Store, kind: str, path: Path) -> None:
    from dqviz.report import low_bit, reproduction

    document: Any = low_bit.document if kind == LOW_BIT else reproduction.document
    told = [where(found, store), timed_on(store) if kind == LOW_BIT else ""]
    write_atomically(path, document(found, " ".join(filter(None, told))).encode())
    say(f"Written: {path}")


def where(found: Sequence[Made], store: Store) -> str:
    """Machine and versions of the first finished run, in one sentence; '' without one."""
    done = [run.run_id for made in found for run in made.part.runs if run.state == "finished"]
    known: dict[str, Any] = store.json(done[0], "provenance") if done and store.has(done[0], "provenance") else {}
    if not known:
        return ""
    packages = ", ".join(f"{name} {known['packages'][name]}" for name in ("torch", "torch_geometric"))
    return f"Trained on {known['cpu']} with {known['cpu_count']} cores, {packages}."


def timed_on(store: Store) -> str:
    """Where latencies were timed, in one sentence; '' where no run of preset `lowbit-latency` says so."""
    known = {row.run_id for row in store.runs()}
    found = [store.timing(spec.digest) for spec in preset(LATENCY).runs if spec.digest in known]
    told = [timing for timing in found if {"cpu", "threads", "instructions"} <= timing.keys()]
    if not told:
        return ""
    load = ", some while the machine was busy with something else" if any(one.get("busy") for one in told) else ""
    machines = {f"{one['cpu']}, {one['threads']} threads, kernels for {one['instructions']}" for one in told}
    return f"Timed on {' and on '.join(sorted(machines))}{load}."


def kept(found: Sequence[Made], store: Store) -> None:
    """Packs each study, further seeds included, under its preset's name."""
    for part in (made.part for made in found):
        target = assets_dir() / "studies" / part.preset
        say(f"Kept: {target}, {pack(store, part.study.name, part.runs, target):,} bytes.")


def rows(made: Made) -> list[dict[str, Any]]:
    """Cells of the JSON document; accuracies are shares of 1."""
    from dqviz.report.low_bit import MadeLowBit

    if isinstance(made, MadeLowBit):
        return [row(line.result) | low_bit_row(line) for line in made.info.lines]
    return [row(one) for one in made.results]


def row(one: Result) -> dict[str, Any]:
    """One cell."""
    dataset, arch, method, bits = one.key
    return {
        "dataset": dataset, "arch": arch, "method": method, "bits": bits, "mean": one.mean, "std": one.std,
        "lo": one.low, "hi": one.high, "n": len(one.seeds), "reported": one.reported.mean if one.reported else None,
        "reported_std": one.reported.std if one.reported else None, "mark": one.reported.mark if one.reported else None,
        "difference": one.difference, "verdict": one.verdict, "seconds": one.seconds,
    }  # fmt: skip


def low_bit_row(line: LowBitLine) -> dict[str, Any]:
    """What a cell of the low-bit table says besides."""
    known, rival = line.result.reported, line.rival
    return {
        **line.costs, "note": known.note if known else None, "to_dq": rival.mean if rival else None,
        "to_dq_lo": rival.low if rival else None, "to_dq_hi": rival.high if rival else None,
        "to_dq_verdict": rival.verdict if rival else None, "loss_verdict": line.loss.verdict if line.loss else None,
    }  # fmt: skip
