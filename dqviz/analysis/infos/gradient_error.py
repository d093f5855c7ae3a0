"""Gradient error against in-degree: what quantization does to the part of a weight gradient a degree group gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.gradients import OWN, STRAIGHT
from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, at_site, identify, line_over_seeds, means_over_seeds, select, stack
from dqviz.analysis.infos.error_by_degree import BIN, node_strip
from dqviz.analysis.words import NOTHING, degree, number
from dqviz.errors import unknown
from dqviz.naming import place

RULES = (OWN, STRAIGHT)
MEASURES = ("gradient_cosine", "gradient_error", "gradient_norm")
HOW = {
    OWN: "Each method has the backward rule it trains with (gc, Degree-Quant's where steps are observed, drops the "
         "gradient at the two extreme codes; learned steps drop what is clipped).",
    STRAIGHT: "Every method has the straight-through rule, so only the quantized values differ.",
}  # fmt: skip
ALWAYS = "Training loss, best weights, no dropout; where nodes are protected, the mean over seeded masks."  # fmt: skip


@dataclass(frozen=True, eq=False)
class GradientError(Info):
    """`cosines`, `errors`: one line a group each; `nodes` (dataset, degree, nodes) is the strip below."""

    key: str
    rule: str
    cosines: tuple[Line, ...]
    errors: tuple[Line, ...]
    nodes: pd.DataFrame


def gradient_error(groups: Sequence[Group], key: str = "", rule: str = OWN) -> GradientError:
    """`groups` of the gradients table at the weights `key`; without one the first layer's, which all layers reach.

    Means over seeds with their interval. Raises BadInput for another backward rule.
    """
    if rule not in RULES:
        raise unknown("backward rule", rule, RULES)
    key = key or _first_key(groups)
    found = select(groups, lambda frame: at_site(frame[frame["rule"] == rule], key))
    cosines, errors, tables = [], [], []
    for group in found:
        table = means_over_seeds(group.frames, BIN, ["nodes", "degree", *MEASURES])
        cosines.append(line_over_seeds(group, table["degree"], BIN, "gradient_cosine"))
        errors.append(line_over_seeds(group, table["degree"], BIN, "gradient_error"))
        tables.append(identify(table, group))
    alt = (f"Cosine and relative error of the gradient of {place(key)} against in-degree, quantizers on against off, "
           "node counts below.")  # fmt: skip
    sentence = _sentence(cosines, errors, key)
    return GradientError(sentence if sentence == NOTHING else f"{sentence} {HOW[rule]} {ALWAYS}", alt,
                         stack(tables, ["degree", *MEASURES]), key, rule, tuple(cosines), tuple(errors),
                         node_strip(found))  # fmt: skip


def _first_key(groups: Sequence[Group]) -> str:
    return str(groups[0].frames[0]["key"].iloc[0]) if groups else ""


def _sentence(cosines: Sequence[Line], errors: Sequence[Line], key: str) -> str:
    """Who has the truest gradient on average over nodes' groups, who the least true, and where that is worst."""
    known = [(float(np.nanmean(cosine.y)), cosine, error) for cosine, error in zip(cosines, errors, strict=True)
             if cosine.finite.any()]  # fmt: skip
    if not known:
        return NOTHING
    mean, cosine, error = min(known, key=lambda one: one[0])
    at = int(np.nanargmin(cosine.y))
    text = (f"At {place(key)} the gradient of {cosine.label} is turned most around in-degree "
            f"{degree(float(cosine.x[at]))}: cosine {cosine.y[at]:.2f}, "
            f"relative error {number(float(error.y[at]), 2)}")  # fmt: skip
    if len(known) == 1:
        return f"{text}; the mean cosine over the degree groups is {mean:.2f}."
    best_mean, best, _ = max(known, key=lambda one: one[0])
    return (f"{text}; over all degree groups its mean cosine is {mean:.2f}, and that of {best.label} is the highest, "
            f"{best_mean:.2f}.")  # fmt: skip
