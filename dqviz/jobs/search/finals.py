"""A second look at the best trials: the search seeds that chose them flatter them, further ones do not.

Of many trials judged on two seeds the best is also the luckiest: with GAT, Degree-Quant and INT8 on Cora the best of 64
was 0.3 points ahead of an earlier search's settings there, and 0.6 points behind on ten final seeds. With finalists the
best few trials, what the settings file already holds of the cell, and what it holds of the cell's kin are trained on
further search seeds, and the mean over all seeds decides: the same for every method, by validation alone.

Kin (space.yaml) are methods that differ in few settings: Degree-Quant that protects no node is QAT. Without them a
comparison of two of them is one of two searches: with GAT and INT8 on CiteSeer QAT's search met settings that
Degree-Quant's missed, 0.9 points better on validation.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna

from dqviz.errors import Diverged
from dqviz.jobs.search.plan import Plan

Judge = Callable[[Mapping[str, Any], int], float]
"""Validation accuracy of settings on a seed. Raises Diverged."""


@dataclass(frozen=True)
class Finalist:
    """Settings by entry of a RunSpec, validation accuracy by seed, and the kin that the settings were found for."""

    settings: Mapping[str, Any]
    values: Mapping[int, float]
    kin: str = ""

    @property
    def name(self) -> str:
        """The same for the same settings."""
        text = json.dumps({entry: values for entry, values in self.settings.items() if values}, sort_keys=True)
        return f"finalist {hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def mean(self) -> float:
        return math.fsum(self.values.values()) / len(self.values)


def finals(study: optuna.Study, plan: Plan, top: Sequence[Finalist], judge: Judge) -> list[Finalist]:
    """What stood in the settings file, the best trials `top` and the plan's guests, judged on all seeds.

    Goes on where it stopped. One that diverges on a further seed has 0 there.
    """
    standing = [Finalist(plan.untrained(plan.incumbent.settings), {})] if plan.incumbent else []
    own = {one.name: one for one in [*standing, *top]}
    guests = [Finalist(settings, {}, kin) for kin, settings in plan.guests.items()]
    found = []
    for name, one in (own | {one.name: one for one in guests if one.name not in own}).items():
        settings, values = one.settings, {**one.values, **_kept(study, name)}
        for seed in plan.judged:
            if seed not in values:
                try:
                    values[seed] = judge(settings, seed)
                except Diverged:
                    values[seed] = 0.0
                study.set_user_attr(name, {str(seed): value for seed, value in values.items()})
        found.append(replace(one, values=values))
    return found


def winner(finalists: Sequence[Finalist]) -> Finalist:
    """The best mean; of equals the first, which is what stood before."""
    return max(finalists, key=lambda one: one.mean)


def _kept(study: optuna.Study, name: str) -> dict[int, float]:
    return {int(seed): float(value) for seed, value in study.user_attrs.get(name, {}).items()}
