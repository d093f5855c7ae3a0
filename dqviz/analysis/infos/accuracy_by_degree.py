"""Accuracy and flip rate against in-degree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.group import Group
from dqviz.analysis.info import Info, Line, identify, means_over_seeds, over_seeds, select, stack
from dqviz.analysis.infos.error_by_degree import BIN, node_strip
from dqviz.analysis.words import NOTHING, degree, listing, percent

TRAINED_FOR_GRIDS = 0.1
"""A share of 1: accuracy that must be lost when the quantizers are switched off before the sentence tells of it."""
NODES_OF = {"test": "the test nodes", "val": "the validation nodes", "train": "the training nodes", "all": "all nodes"}
LIMITS = {"accuracy": ("accuracy_lo", "accuracy_hi"), "flip_rate": ("flip_lo", "flip_hi")}


@dataclass(frozen=True, eq=False)
class AccuracyByDegree(Info):
    """`accuracy` and `flips`: one line a group each; `nodes` (dataset, degree, nodes) is the strip below."""

    split: str
    accuracy: tuple[Line, ...]
    flips: tuple[Line, ...]
    nodes: pd.DataFrame


def accuracy_by_degree_info(groups: Sequence[Group], split: str = "test") -> AccuracyByDegree:
    """`groups` of the accuracy table. Intervals are over seeds, or Wilson's over nodes where seeds are too few."""
    found = select(groups, lambda frame: frame[frame["split"] == split])
    lines: dict[str, list[Line]] = {name: [] for name in LIMITS}
    tables = []
    for group in found:
        table = means_over_seeds(group.frames, BIN, ["degree", "nodes", "accuracy_twin"])
        for name, limits in LIMITS.items():
            table = table.assign(**_with_limits(group, name))
            columns = ("degree", name, *limits)
            lines[name].append(Line(group.identity, *(table[c].to_numpy(dtype=np.float64) for c in columns)))
        tables.append(identify(table, group))
    alt = f"Accuracy and share of flipped nodes on the {split} split against in-degree, node counts below."
    sentence = _sentence(lines)
    if sentence != NOTHING:
        sentence = " ".join([sentence, *_worse_without(tables, split)])
    return AccuracyByDegree(sentence, alt, stack(tables, ["degree", "accuracy", "flip_rate"]), split,
                            tuple(lines["accuracy"]), tuple(lines["flip_rate"]), node_strip(found))  # fmt: skip


def _with_limits(group: Group, name: str) -> dict[str, pd.Series]:
    low, high = LIMITS[name]
    found = over_seeds(group.frames, BIN, name, (low, high))
    return {name: found["mean"], low: found["low"], high: found["high"]}


def _sentence(lines: dict[str, list[Line]]) -> str:
    told = []
    for accuracy, flips in zip(lines["accuracy"], lines["flip_rate"], strict=True):
        if flips.finite.any():
            told.append((float(np.nanmax(flips.y)), int(np.nanargmax(flips.y)), accuracy, flips))
    if not told:
        return NOTHING
    rate, at, accuracy, flips = max(told, key=lambda t: t[0])
    if rate == 0:
        return "No node of this split changes its class when the quantizers are switched on."
    where = f"around in-degree {degree(float(flips.x[at]))}"
    return (f"{accuracy.label} flips most: {percent(rate)} of the nodes {where} change class, where its accuracy is "
            f"{percent(float(accuracy.y[at]))}.")  # fmt: skip


def _worse_without(tables: Sequence[pd.DataFrame], split: str) -> list[str]:
    """What must be known before flips are read: the reference itself may be no good network."""
    found = []
    for table in tables:
        if table["nodes"].sum() > 0:
            grids, none = (np.average(table[name], weights=table["nodes"]) for name in ("accuracy", "accuracy_twin"))
            if grids - none > TRAINED_FOR_GRIDS:
                found.append(f"{table['run'].iloc[0]} from {percent(grids)} to {percent(none)}")
    if not found:
        return []
    told = (
        f"Over {NODES_OF.get(split, split)} switching the quantizers off lowers the accuracy of {listing(found)}: "
        "these weights need their grids, so flips and accumulated errors there are not what quantization costs."
    )
    return [told]
