"""All cells of a search, several at once: one process each, with one thread, until every plan has spent its budget."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import torch

from dqviz.errors import BadInput, Cancelled, DqvizError
from dqviz.jobs.search.plan import Plan, Settings
from dqviz.jobs.search.space import adopted, part_of, space
from dqviz.jobs.search.trials import Tell, search_cell
from dqviz.runs.tuned import Cell, Key, cells, write
from dqviz.spec import FULL_PRECISION

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_stop = threading.Event()


@dataclass(frozen=True)
class Outcome:
    """A plan and what its search found, or why it found nothing."""

    plan: Plan
    cell: Cell | None
    error: str | None = None


def search(plans: Sequence[Plan], folder: Path, jobs: int = 1, tell: Tell = lambda _: None) -> list[Outcome]:
    """Searches every plan and keeps each cell found in `folder` at once; a cell that found nothing stops no other.

    Ctrl-C stops all trials between two epochs; the next start goes on with them. Raises BadInput for a plan that is
    trained as another method whose settings are not known.
    """
    require_trainable(plans, folder)
    outcomes: list[Outcome] = []
    for _, wave in groupby(plans, key=lambda plan: bool(plan.trained_as)):
        ready = [prepared(plan, folder) for plan in wave]
        outcomes += [one for one in ready if isinstance(one, Outcome)]
        for outcome in searched([one for one in ready if isinstance(one, Plan)], jobs, tell):
            outcomes.append(outcome)
            if outcome.cell is not None:
                write(outcome.plan.dataset, [outcome.cell], folder)
    return outcomes


def require_trainable(plans: Sequence[Plan], folder: Path) -> None:
    """Before hours of other trials: settings of the method that a plan is trained as are known, or searched as well."""
    searched_now = {(plan.dataset, plan.arch, plan.method) for plan in plans}
    for plan in plans:
        if plan.trained_as and (plan.dataset, plan.arch, plan.trained_as) not in searched_now:
            trained(plan, folder)


def prepared(plan: Plan, folder: Path) -> Plan | Outcome:
    """The plan to search; the outcome where what it is trained as was searched just now and found nothing."""
    try:
        return challenged(trained(plan, folder), folder)
    except BadInput as error:
        return Outcome(plan, None, str(error))


def challenged(plan: Plan, folder: Path) -> Plan:
    """The plan with the cell that its finalists must beat, and what was found for its kin.

    For what is calibrated, only a cell of the same network.
    """
    if not plan.finalists:
        return plan
    known = cells(plan.dataset, folder)
    cell = known.get(plan.key)
    other = cell is not None and plan.trained and cell.network != plan.trained
    return replace(plan, incumbent=None if other else cell, guests=guests(plan, known))


def guests(plan: Plan, known: Mapping[Key, Cell]) -> dict[str, Settings]:
    """Kin -> its settings at the plan's architecture and bits, as far as the plan's method has them."""
    kin = space().kin
    others = [method for method in kin if method != plan.method] if plan.method in kin else []
    found = {method: known.get((plan.arch, method, plan.bits)) for method in others}
    part = part_of(plan.method, plan.dataset)
    return {method: adopted(cell.settings, part) for method, cell in found.items() if cell}


def trained(plan: Plan, folder: Path) -> Plan:
    """The plan with the settings of the method it is trained as (PTQ takes those of FP32)."""
    if not plan.trained_as:
        return plan
    cell = cells(plan.dataset, folder).get((plan.arch, plan.trained_as, FULL_PRECISION))
    if cell is None:
        raise BadInput(f"{plan.method} is trained with the settings of {plan.trained_as}: search {plan.trained_as} on "
                       f"{plan.dataset} with {plan.arch} as well.")  # fmt: skip
    return plan.after(cell)


def searched(plans: Sequence[Plan], jobs: int, tell: Tell) -> Iterator[Outcome]:
    """Outcomes as they come."""
    if jobs == 1:
        torch.set_num_threads(1)
        yield from (attempt(plan, tell) for plan in plans)
        return
    with pool(jobs) as executor:
        futures = {executor.submit(attempt, plan): plan for plan in plans}
        try:
            yield from map(result, as_completed(futures))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()  # each stops after its epoch and leaves its trial to the next start
            raise


def attempt(plan: Plan, tell: Tell | None = None) -> Outcome:
    """One plan's search; what a person must know about its failure is part of the outcome."""
    try:
        return Outcome(plan, search_cell(plan, _stop.is_set, tell or write_line))
    except Cancelled:
        raise
    except DqvizError as error:
        return Outcome(plan, None, str(error))


def result(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise DqvizError("A process of the search was killed (out of memory?); start it again, it goes on.") from error


def pool(jobs: int) -> ProcessPoolExecutor:
    """Processes that start afresh (torch does not survive a fork), with one thread each."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=prepare)


def prepare() -> None:
    """In each process: Ctrl-C and SIGTERM stop between two epochs, and the end of the parent is the end."""
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _stop.set())
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def write_line(sentence: str) -> None:
    """A whole line at once: several processes write to the same stderr."""
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
