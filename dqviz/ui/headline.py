"""The large numbers of the pages, from rows and from what the charts show: plain Python over a handful of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from dqviz.naming import site_name
from dqviz.runs.ledger import RunRow, StudyRow
from dqviz.ui.glossary import TERMS
from dqviz.ui.names import network_name
from dqviz.ui.page import Figure

NONE = "–"
METRIC_WORDS = {"error_mean": "Error", "mse": "MSE", "sqnr_db": "SQNR in dB", "rmse_scale": "RMSE in steps"}
Record = Mapping[str, Any]


def percent(share: float | None) -> str:
    return NONE if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def times(factor: float | None) -> str:
    return NONE if factor is None or not math.isfinite(factor) else f"{factor:.2f} ×"


def number(value: float | None) -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:.3g}"


def accuracy_figure(groups: Mapping[Any, Sequence[Record]]) -> Figure:
    """The three best accuracies as one figure."""
    three = accuracy_figures(groups)
    value = " / ".join(one.value.removesuffix(" %") for one in three)
    return Figure("Best at FP32 / INT8 / INT4", f"{value} %", three[0].help, "test accuracy, mean of seeds")


def accuracy_figures(groups: Mapping[Any, Sequence[Record]]) -> list[Figure]:
    """Best mean test accuracy at FP32, INT8 and INT4; a group is the seeds of one configuration."""
    return [_best(groups, bits, name) for bits, name in ((32, "FP32"), (8, "INT8"), (4, "INT4"))]


def _best(groups: Mapping[Any, Sequence[Record]], bits: int, name: str) -> Figure:
    scored = [(mean_of(rows, "test_accuracy"), who, len(rows)) for who, rows in groups.items() if who.bits == bits]
    known = [one for one in scored if one[0] is not None]
    if not known:
        return Figure(f"Best accuracy, {name}", NONE, "No finished run of this width in the study.", "not trained")
    value, who, seeds = max(known, key=lambda one: one[0] or 0.0)
    return Figure(f"Best accuracy, {name}", percent(value), "Mean test accuracy over seeds, at the epoch of the best "
                  "validation accuracy.", f"{who.label}, {seeds} seed{'s' * (seeds != 1)}")  # fmt: skip


def source_figure(rows: Iterable[RunRow]) -> Figure:
    """The site that adds most error relative to its signal, over all runs."""
    sites = [(row.summary["worst_site"], row) for row in rows if row.summary.get("worst_site")]
    label = "Largest error source"
    if not sites:
        return Figure(label, NONE, "No quantized run has finished in this study.")
    site, row = max(sites, key=lambda one: one[0]["noise_to_signal"])
    return Figure(label, site_name(site["key"]), TERMS["local error"], network_name(row))


def flip_figure(rows: Iterable[RunRow], label: str = "Predictions that flip") -> Figure:
    """Mean flip rate of the lowest width among these runs."""
    known = [row for row in rows if row.summary.get("flip_rate") is not None and row.bits not in (None, 32)]
    if not known:
        return Figure(label, NONE, TERMS["flip"])
    width = min(row.bits or 32 for row in known)
    share = fmean(row.summary["flip_rate"] for row in known if row.bits == width)
    return Figure(label, percent(share), TERMS["flip"], f"at INT{width}, mean of these runs")


def mean_of(rows: Iterable[Record], name: str) -> float | None:
    values = [float(row[name]) for row in rows if isinstance(row.get(name), int | float)]
    return fmean(values) if values else None


def error_figures(lines: Sequence[Any], metric: str) -> list[Figure]:
    """Error at the smallest and at the largest in-degree of the group that is worst at the largest."""
    known = [line for line in lines if len(line.y) and math.isfinite(line.y[-1])]
    if not known:
        return []
    name = METRIC_WORDS[metric]
    worst = (min if metric == "sqnr_db" else max)(known, key=lambda line: line.y[-1])
    return [
        Figure(f"{name} at in-degree {worst.x[place]:.0f}", number(worst.y[place]), note=worst.label)
        for place in (0, -1)
    ]


def growth_figure(exponents: Sequence[Any], kind: str) -> Figure:
    """The steepest growth of error with in-degree."""
    known = [one for one in exponents if one.kind == kind and math.isfinite(one.value)]
    if not known:
        return Figure("Growth exponent", NONE, TERMS["growth exponent"])
    most = max(known, key=lambda one: one.value)
    value, low, high = (f"{round(one, 2) + 0.0:.2f}" for one in (most.value, most.low, most.high))  # no -0.00
    return Figure("Growth exponent", value, TERMS["growth exponent"], f"{most.who.label}: {low} to {high}")


def range_figures(histograms: Sequence[Any]) -> list[Figure]:
    """Worst clipping, fewest bits used and the widest range at a site."""
    known = [one for one in histograms if math.isfinite(one.lo) and one.bits]
    if not known:
        return []
    told = [one for one in known if math.isfinite(one.entropy)]  # grids of rows and uneven levels have no such share
    clip, wide = max(known, key=lambda one: one.clipped), max(known, key=lambda one: one.hi - one.lo)
    poor = min(told, key=lambda one: one.entropy / one.bits, default=None)
    return [
        Figure("Most values clipped", percent(clip.clipped), TERMS["clipped share"], clip.who.label),
        Figure("Fewest bits used", f"{poor.entropy:.1f} of {poor.bits}" if poor else NONE, TERMS["levels used"],
               poor.who.label if poor else "grids of rows, or uneven levels"),
        Figure("Widest range", f"{wide.lo:.3g} to {wide.hi:.3g}", "Ends of the quantizer's range at this site.",
               wide.who.label),
    ]  # fmt: skip


def protection_figures(info: Any) -> list[Figure]:
    """What a pair of probabilities means for a graph."""
    return [
        Figure("Nodes protected in a step", percent(info.node_share), TERMS["protection"], "expected share"),
        Figure("Sums at full precision", percent(info.edge_share), "Edges that end at a protected node.",
               "expected share"),
        Figure("Largest hub", percent(float(info.p[-1]) if len(info.p) else None), "Its probability of protection.",
               f"in-degree {int(info.degree[-1]):,}" if len(info.degree) else ""),
    ]  # fmt: skip


def speed_figures(panels: Sequence[tuple[str, Sequence[Any]]]) -> list[Figure]:
    """Best speed-up of an integer run against the fastest FP32 baseline and against PyG."""
    bars = [bar for _, found in panels for bar in found if bar.precision != "fp32" and math.isfinite(bar.speedup)]
    if not bars:
        return [Figure("Measured speed-up", NONE, "No run here has been timed: Latency times one on this machine.",
                       "not timed yet")]  # fmt: skip
    best = max(bars, key=lambda bar: bar.speedup)
    where = f"{best.label} on {best.graph}"
    quick = min(bars, key=lambda bar: bar.median)
    return [
        Figure("Speed-up over fastest FP32", times(best.speedup),
               "Median time of the fastest FP32 baseline over that of the integer run.", where),
        Figure("Speed-up over PyG", times(best.speedup_pyg),
               "The same against the network as a PyG user writes it.", where),
        Figure("Fastest integer run", f"{quick.median:.3g} ms", TERMS["p10 to p90"],
               f"{quick.p10:.3g} to {quick.p90:.3g} ms on {quick.graph}"),
    ]  # fmt: skip


def integer_figure(row: RunRow) -> Figure:
    """Accuracy of the integer run beside that of the simulated one."""
    simulated = f"{percent(row.test_accuracy)} with simulated quantization"
    note = str(row.summary.get("integer_note") or "")
    return Figure("Accuracy, integer run", percent(row.test_accuracy_integer), note, simulated)


def report_figures(studies: Sequence[StudyRow], sections: Sequence[str]) -> list[Figure]:
    """What will be in the report."""
    finished, total = (sum(getattr(row, name) for row in studies) for name in ("finished", "total"))
    rest = f"{total - finished} did not finish and are listed" if total > finished else "all of them"
    return [
        Figure("Studies", f"{len(studies)}", "Each study becomes one file."),
        Figure("Finished runs", f"{finished}", "Runs that are shown with their figures.", rest),
        Figure("Sections", f"{len(sections)}" if sections else "all", "Empty sections are left out."),
    ]
