"""One cell's trials: Optuna proposes settings, each is trained once a search seed and judged by validation accuracy.

Trial number n asks a sampler seeded with (sampler seed, n), so that a search that was stopped and taken up again makes
the trials it would have made without the stop. The first trial is the space's start. After its first seed Optuna's
median rule may end a trial: the same rule for every method.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dqviz.errors import Diverged, DqvizError, Unavailable
from dqviz.jobs import network
from dqviz.jobs.search.blind import blind_task
from dqviz.jobs.search.calibrated import calibrated
from dqviz.jobs.search.finals import Finalist, finals, winner
from dqviz.jobs.search.plan import Ask, Plan
from dqviz.jobs.search.space import ask, part_of, starts
from dqviz.runs import locks
from dqviz.runs.home import home
from dqviz.runs.tuned import Cell, Found
from dqviz.spec import RunSpec
from dqviz.training import train

RANDOM_TRIALS = 6
"""Trials before the sampler (tree-structured Parzen estimator) follows earlier values."""
UNPRUNED_TRIALS = 4
"""Complete trials before the median rule may end one."""
ERROR, SETTINGS, VALUES = "error", "settings", "values"

Tell = Callable[[str], None]

optuna.logging.set_verbosity(logging.WARNING)


def search_cell(plan: Plan, should_stop: Ask = lambda: False, tell: Tell = lambda _: None) -> Cell:
    """Trials up to the plan's budget, those of earlier starts included; the best settings.

    Raises DqvizError when no trial ended with a finite value, Cancelled between two epochs when `should_stop` says so,
    Unavailable while another process searches the same cell.
    """
    with opened(plan) as study:
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)  # killed: made again
        while len(done := ended(study)) < plan.trials:
            tell(f"{plan.label}: {one_trial(study, plan, len(done), should_stop)}")
        ranked = by_value(study, plan)
        if not plan.finalists:
            return cell_of(study, plan, ranked[0])
        tell(f"{plan.label}: finals on seeds {', '.join(map(str, plan.final_seeds))}")

        def judge(settings: Mapping[str, Any], seed: int) -> float:
            return validation_accuracy(plan.spec(settings, seed), should_stop)

        won = winner(finals(study, plan, ranked[: plan.finalists], judge))
        cell = cell_of(study, plan, won)
        if plan.incumbent is None or won.kin or won.name in {one.name for one in ranked}:
            return cell
        return stayed(plan.incumbent, cell)


def folder() -> Path:
    """Where studies are kept: one SQLite file a cell, so that two processes never wait for each other."""
    path = home() / "search"
    path.mkdir(exist_ok=True)
    return path


@contextmanager
def opened(plan: Plan) -> Iterator[optuna.Study]:
    """The cell's study, new or as it was left; locked while it is open."""
    path = folder() / f"{plan.name}.db"
    lock = locks.try_lock(path.with_suffix(".lock"))
    if lock is None:
        raise Unavailable(f"Another process searches {plan.label} at this moment.")
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS)
        yield optuna.create_study(storage=storage, study_name=plan.name, direction="maximize", pruner=pruner,
                                  load_if_exists=True)  # fmt: skip
        storage.engine.dispose()
    finally:
        os.close(lock)


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: complete, pruned, or failed for a reason of their own (a killed one is made again)."""
    return [trial for trial in study.get_trials(deepcopy=False)
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or ERROR in trial.user_attrs]  # fmt: skip


def one_trial(study: optuna.Study, plan: Plan, number: int, should_stop: Ask) -> str:
    """Makes trial `number` of the budget; what came of it, in words."""
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=RANDOM_TRIALS, constant_liar=False, seed=1_000_003 * plan.sampler_seed + number
    )
    part = part_of(plan.method, plan.dataset)
    first = starts(part)
    if number < len(first) and not study.get_trials(states=(TrialState.WAITING,)):
        study.enqueue_trial(first[number])
    trial = study.ask()
    settings = ask(trial, part)
    trial.set_user_attr(SETTINGS, settings)
    words = f"trial {number + 1} of {plan.trials}"
    try:
        values = validate(trial, plan, settings, should_stop)
    except Diverged as error:
        trial.set_user_attr(ERROR, str(error))
        study.tell(trial, state=TrialState.FAIL)
        return f"{words} failed: {error}"
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    trial.set_user_attr(VALUES, values)
    mean = math.fsum(values.values()) / len(values)
    if len(values) < len(plan.seeds):
        study.tell(trial, state=TrialState.PRUNED)
        return f"{words} ended after its first seed, {mean:.2%}"
    study.tell(trial, mean)
    return f"{words} {mean:.2%}, best {study.best_value:.2%}"


def validate(trial: optuna.Trial, plan: Plan, settings: dict[str, Any], should_stop: Ask) -> dict[str, float]:
    """Search seed -> validation accuracy at the best validation epoch; fewer seeds when the trial is pruned."""
    values: dict[str, float] = {}
    for step, seed in enumerate(plan.seeds):
        values[str(seed)] = validation_accuracy(plan.spec(settings, seed), should_stop)
        trial.report(math.fsum(values.values()) / len(values), step)
        if len(values) < len(plan.seeds) and trial.should_prune():
            break
    return values


def validation_accuracy(spec: RunSpec, should_stop: Ask) -> float:
    """Trains in this process on the blind task. Raises Diverged, or Cancelled when `should_stop` says so."""
    net = network.build(spec, blind_task(spec))
    if net.method.calibrates:
        return calibrated(net, spec, should_stop)
    trained = train(net.model, net.task, net.method, spec.optimizer, spec.epochs, should_stop=should_stop)
    return trained.best.accuracy


def by_value(study: optuna.Study, plan: Plan) -> list[Finalist]:
    """Complete trials, the best first, of equals the earlier. Raises DqvizError when there is none."""
    trials = ended(study)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        last = trials[-1].user_attrs.get(ERROR, "none was complete")
        raise DqvizError(f"The search of {plan.label} found nothing finite in {len(trials)} trials; the last: {last}")
    ranked = sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))
    return [Finalist(trial.user_attrs[SETTINGS], {int(seed): value for seed, value in trial.user_attrs[VALUES].items()})
            for trial in ranked]  # fmt: skip


def cell_of(study: optuna.Study, plan: Plan, chosen: Finalist) -> Cell:
    """The settings that were chosen and what was spent on them."""
    trials = ended(study)
    count = {state: sum(trial.state is state for trial in trials) for state in TrialState}
    found = Found(
        study=plan.name, trials=len(trials), complete=count[TrialState.COMPLETE], pruned=count[TrialState.PRUNED],
        failed=count[TrialState.FAIL], seeds=plan.judged, sampler_seed=plan.sampler_seed, epochs=plan.epochs,
        seconds=round(math.fsum(map(seconds, trials)), 1), command=replace(plan, trials=len(trials)).command,
        kin=chosen.kin,
    )  # fmt: skip
    return Cell(
        arch=plan.arch, method=plan.method, bits=plan.bits, val_accuracy=round(chosen.mean, 6),
        val_by_seed={seed: round(value, 6) for seed, value in chosen.values.items()},
        **{**chosen.settings, **plan.trained},
        found=found.among(plan.incumbent.found.studies) if plan.incumbent else found,
    )  # fmt: skip


def stayed(incumbent: Cell, judged: Cell) -> Cell:
    """The incumbent's own study, with the seeds and values of this one's finals and its trials among the others."""
    found = incumbent.found.model_copy(update={"seeds": judged.found.seeds})
    return judged.model_copy(update={"found": found.among(judged.found.studies)})


def seconds(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() if trial.duration else 0.0
