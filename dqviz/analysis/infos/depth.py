"""Depth: what more layers do to accuracy, to the smoothness of the output and to its quantization error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.group import Identity, Row, bits_label, full_labels, read_table, told_apart
from dqviz.analysis.info import Info, Line
from dqviz.analysis.infos.compare_table import finished
from dqviz.analysis.infos.smoothness_by_layer import AT_ZERO, free_of_scale
from dqviz.analysis.student import row_intervals
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import listing, number, points
from dqviz.naming import method_label

MEASURES = ("test_accuracy", "roughness", "layer_error")
SETTING = "layers"
ONE = ("No two runs here differ in depth alone (layers: {}). The study “Depth, Cora” on the Train page trains networks "
       "of 2 to 64 layers.")  # fmt: skip
NONE = "No run of this study has finished yet; start one on the Train page."
NO_ROWS = " These runs were trained before smoothness was recorded, so only accuracy is shown."

Read = Callable[[str], "pd.DataFrame | None"]
"""run_id -> its smoothness table."""


@dataclass(frozen=True, eq=False)
class Depth(Info):
    """One line a group of runs that differ in depth and seed only, over the number of layers; in order of MEASURES."""

    accuracies: tuple[Line, ...]
    energies: tuple[Line, ...]
    errors: tuple[Line, ...]


def depth(rows: Sequence[Row], read: Read, defaults: Mapping[str, int]) -> Depth:
    """`rows` as JSON rows with `arch_settings`; `defaults`: layers of an architecture where the setting was not set."""
    done = [row for row in finished(rows) if layers_of(row, defaults)]
    curves = _curves(done, read, defaults)
    several = {who: found for who, found in curves.items() if found["layers"].nunique() > 1}
    lines = [tuple(_line(who, found, name) for who, found in several.items()) for name in MEASURES]
    energies, errors = (tuple(line for line in part if line.finite.any()) for part in lines[1:])
    errors = tuple(line for line in errors if np.nansum(line.y) > 0)  # not of full precision
    alt = ("Test accuracy, scale-free energy of the output and its relative error against the number of layers, one "
           "line a group of seeds, bands are 95 % intervals.")  # fmt: skip
    depths = sorted({layers_of(row, defaults) for row in done})
    said = _sentence(lines[0], energies) if several else ONE.format(listing(list(map(str, depths)))) if done else NONE
    return Depth(said + (NO_ROWS if several and not energies else ""), alt, _table(several), lines[0], energies, errors)


def layers_of(row: Row, defaults: Mapping[str, int]) -> int:
    """Layers or propagation steps of a run's network; 0 where nobody knows."""
    settings = row.get("arch_settings")
    own = settings.get(SETTING) if isinstance(settings, Mapping) else None
    return int(own or defaults.get(str(row.get("arch")), 0))


def _curves(rows: Sequence[Row], read: Read, defaults: Mapping[str, int]) -> dict[Identity, pd.DataFrame]:
    """A row a run (layers, seed, *MEASURES) of each group; a seed that occurs twice at one depth counts once."""
    who = full_labels(told_apart([_without_depth(row) for row in rows]))
    found: dict[Identity, list[dict[str, Any]]] = {}
    for one, row in zip(who, rows, strict=True):
        known = {"layers": layers_of(row, defaults), "seed": row.get("seed"), "test_accuracy": row["test_accuracy"]}
        found.setdefault(one, []).append(known | _at_the_end(read_table(read, row)))
    return {one: pd.DataFrame(runs).drop_duplicates(["layers", "seed"]) for one, runs in found.items()}


def _without_depth(row: Row) -> dict[str, Any]:
    settings = row.get("arch_settings")
    kept = {name: value for name, value in settings.items() if name != SETTING} if isinstance(settings, Mapping) else {}
    return {**row, "arch_settings": kept}


def _at_the_end(frame: pd.DataFrame | None) -> dict[str, float]:
    """Energy and error of what leaves the last layer."""
    if frame is None:
        return dict.fromkeys(MEASURES[1:], np.nan)
    last = free_of_scale(frame).iloc[-1]
    return {name: float(last[name]) for name in MEASURES[1:]}


def _line(who: Identity, runs: pd.DataFrame, column: str) -> Line:
    wide = runs.pivot(index="layers", columns="seed", values=column).sort_index()
    x = wide.index.to_numpy(dtype=np.float64)
    return Line(who, x, *row_intervals(wide.to_numpy(dtype=np.float64)))


def _table(curves: Mapping[Identity, pd.DataFrame]) -> pd.DataFrame:
    rows = []
    for who, runs in curves.items():
        lines = {name: _line(who, runs, name) for name in MEASURES}
        seeds = runs.groupby("layers")["seed"].nunique()
        for at, layers in enumerate(lines["test_accuracy"].x):
            scores = lines["test_accuracy"]
            rows.append({"run": who.label, "arch": who.arch, "method": who.method, "bits": who.bits,
                         "layers": int(layers), "seeds": int(seeds.loc[layers]), "test_accuracy": scores.y[at],
                         "test_accuracy_lo": scores.low[at], "test_accuracy_hi": scores.high[at],
                         **{name: lines[name].y[at] for name in MEASURES[1:]}})  # fmt: skip
    return pd.DataFrame(rows)


def _sentence(scores: Sequence[Line], energies: Sequence[Line]) -> str:
    """At the width where the groups differ most in what depth does to them: who loses how much, the worst first.

    Full precision only where nothing is quantized.
    """
    widths: dict[int, list[Line]] = {}
    for line in [line for line in scores if line.who.bits != FULL_PRECISION] or scores:
        widths.setdefault(line.who.bits, []).append(line)
    bits, lines = max(widths.items(), key=lambda one: (_spread(one[1]), -min(map(_gain, one[1]))))
    first = min(lines, key=_gain)
    ranked = sorted((line for line in lines if _range(line) == _range(first)), key=_gain)
    low, high = map(str, _range(first))
    start = (
        f"{_name(first, ranked)} in {bits_label(bits)} {_verb(first)} {points(_gain(first))} points of test accuracy"
    )
    texts = [f"{start} from {low} to {high} layers"]
    texts += [f"{_name(line, ranked)} {_verb(line)} {points(_gain(line))}" for line in ranked[1:]]
    return f"{listing(texts, most=7)}.{_of_energy(first, energies)}"


def _of_energy(line: Line, energies: Sequence[Line]) -> str:
    found = next((one for one in energies if one.who == line.who and one.finite.sum() > 1), None)
    if found is None:
        return ""
    y = found.y[found.finite]
    return (f" The scale-free energy of the output of the first goes from {number(float(y[0]), 2)} to "
            f"{number(float(y[-1]), 2)} ({AT_ZERO}).")  # fmt: skip


def _range(line: Line) -> tuple[int, int]:
    return int(line.x[0]), int(line.x[-1])


def _gain(line: Line) -> float:
    """Of accuracy from the smallest to the largest depth."""
    y = line.y[line.finite]
    return float(y[-1] - y[0])


def _spread(lines: Sequence[Line]) -> float:
    gains = list(map(_gain, lines))
    return max(gains) - min(gains)


def _verb(line: Line) -> str:
    return "gains" if _gain(line) >= 0 else "loses"


def _name(line: Line, beside: Sequence[Line]) -> str:
    """Its architecture; with the method where that alone does not tell it, with the data set where that neither."""
    who = line.who
    name = who.arch.upper()
    if sum(one.who.arch == who.arch for one in beside) == 1:
        return name
    name = f"{name} with {method_label(who.method)}"
    same = [one for one in beside if (one.who.arch, one.who.method) == (who.arch, who.method)]
    return name if len(same) == 1 else line.label
