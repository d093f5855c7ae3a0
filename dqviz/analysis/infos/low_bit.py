"""Methods of few bits side by side: accuracy, mean bits, sizes, latency, published figures, Degree-Quant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.group import Identity, Row, bits_label, seeds_by_variant
from dqviz.analysis.info import Info
from dqviz.analysis.infos.compare_table import finished, mean_of
from dqviz.analysis.infos.paired_differences import Difference, by_seed, difference, paired
from dqviz.analysis.published import AVERAGE_LOSS, Published
from dqviz.analysis.reproduction import Result, loss_verdict, result
from dqviz.analysis.student import mean_interval
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import NOTHING, listing, percent
from dqviz.naming import method_label

RIVAL = "dq"
RIVAL_ARCH = "gcn"
"""Whose Degree-Quant an architecture is compared with that has none of its own."""
BASELINES = ("fp32", "ptq", "qat", "nqat", RIVAL)
SLACK = 0.05
"""Bits by which a mean over all values may exceed the width that was asked for."""
SAME_BITS = 0.5
"""Mean bits that differ by no more are the same for a verdict."""
OF_AVERAGE = "no verdict: reported as an average over networks whose widths were chosen"
COSTS = ("feature_bits", "tensor_bits", "size_bytes", "feature_bytes", "latency_ms")
Groups = Mapping[Identity, Sequence[Row]]


@dataclass(frozen=True)
class Loss:
    """What a source reports to lose against full precision, and what is lost here, paired over seeds."""

    reported: float
    mark: str
    trap: str
    mean: float
    low: float
    high: float
    pairs: int
    verdict: str


@dataclass(frozen=True)
class LowBitLine:
    """One configuration over its seeds. `costs`: means of COSTS, NaN where unknown; `rival`: minus Degree-Quant,
    of architecture `rival_arch`."""

    who: Identity
    result: Result
    costs: Mapping[str, float]
    rival: Difference | None
    rival_arch: str
    loss: Loss | None

    @property
    def holds_width(self) -> bool:
        """No more bits over the values of all sites than were asked for (where that was counted)."""
        return not self.costs["tensor_bits"] > self.who.bits + SLACK


@dataclass(frozen=True, eq=False)
class LowBit(Info):
    lines: tuple[LowBitLine, ...]


def low_bit(groups: Groups) -> LowBit:
    """`groups`: JSON rows with costs of each configuration, those that have not finished included."""
    lines = tuple(_line(who, rows, groups) for who, rows in groups.items())
    table = pd.DataFrame([_row(line) for line in lines if line.result.seeds])
    if not table.empty:
        table = table.dropna(axis="columns", how="all")
    alt = "Accuracy, mean bits, sizes, latency, published figures and the difference to Degree-Quant of every method."
    return LowBit(_sentence(lines), alt, table, lines)


def low_bit_of(rows: Sequence[Row]) -> LowBit:
    """The finished rows of a study, grouped by seeds; nothing where no method but those of Degree-Quant's table ran."""
    done = finished(rows)
    ours = any(row.get("method") not in BASELINES for row in done)
    return low_bit(seeds_by_variant(done) if ours else {})


def _line(who: Identity, rows: Sequence[Row], groups: Groups) -> LowBitLine:
    done = finished(rows)
    one = result((who.dataset, who.arch, who.method, who.bits), rows)
    means = {name: mean_of(done, name) for name in COSTS}
    rival, arch = _to_rival(who, done, groups)
    return LowBitLine(who, one, means, rival, arch, _loss(who, done, one.reported, means, groups))


def _to_rival(who: Identity, done: Sequence[Row], groups: Groups) -> tuple[Difference | None, str]:
    """Minus Degree-Quant at the same bits, and of which architecture: the same, else a GCN."""
    if who.method == RIVAL or who.bits == FULL_PRECISION:
        return None, ""
    for arch in (who.arch, RIVAL_ARCH):
        base = _of(groups, who, arch, RIVAL, who.bits)
        if base is not None and finished(groups[base]) and done:
            return difference(who, base, by_seed(done), by_seed(finished(groups[base]))), arch
    return None, ""


def _of(groups: Groups, who: Identity, arch: str, method: str, bits: int) -> Identity | None:
    wanted = (who.dataset, arch, method, bits)
    same = [one for one in groups if (one.dataset, one.arch, one.method, one.bits) == wanted]
    return next((one for one in same if one.profile == who.profile), same[0] if same else None)


def _loss(
    who: Identity, done: Sequence[Row], known: Published | None, costs: Mapping[str, float], groups: Groups
) -> Loss | None:
    """None where the source says nothing of its own full precision, or ours has not run."""
    own = known is not None and np.isfinite(known.loss)
    told = (known.loss, known.mark, known.note) if known and own else AVERAGE_LOSS.get(who.method)
    base = _of(groups, who, who.arch, "fp32", FULL_PRECISION)
    if told is None or base is None or who.bits == FULL_PRECISION:
        return None
    lost = -paired(by_seed(done), by_seed(finished(groups[base])))
    mean, low, high = mean_interval(lost)
    other = other_bits(costs, known) if own else OF_AVERAGE
    verdict = other or loss_verdict(told[0], low, high, len(lost))
    return Loss(*told, mean, low, high, len(lost), verdict)


def claim_verdict(line: LowBitLine) -> str:
    """Whether a published accuracy holds under the common protocol; none where bits were chosen and differ."""
    one = line.result
    fails = f"fails: {one.verdict}" if one.verdict.startswith("lower") else one.verdict
    return other_bits(line.costs, one.reported) or fails


def other_bits(costs: Mapping[str, float], known: Published | None) -> str:
    """Why a published figure is no claim about ours: it stands at other bits; '' where it does not."""
    if known is None:
        return ""
    ours, theirs = costs[f"{known.bits_of}_bits"], known.mean_bits
    differ = abs(ours - theirs) > SAME_BITS
    return f"no verdict: {ours:.1f} {known.bits_of} bits here, {theirs:.1f} there" if differ else ""


def _row(line: LowBitLine) -> dict[str, Any]:
    who, one, known, rival = line.who, line.result, line.result.reported, line.rival
    return {
        "run": who.label, "dataset": who.dataset, "arch": who.arch, "method": method_label(who.method),
        "bits": bits_label(who.bits), "test_accuracy": one.mean, "test_accuracy_std": one.std,
        "test_accuracy_lo": one.low, "test_accuracy_hi": one.high, "seeds": len(one.seeds), **line.costs,
        "reported": known.mean if known else np.nan, "reported_std": known.std if known else np.nan,
        "reported_mark": known.mark if known else None, "reported_note": (known.note or None) if known else None,
        "rerun": known.rerun if known else np.nan, "difference": rival.mean if rival else np.nan,
        "difference_lo": rival.low if rival else np.nan, "difference_hi": rival.high if rival else np.nan,
        "verdict": rival.verdict if rival else None, "wall_s": one.seconds,
    }  # fmt: skip


def other_network(line: LowBitLine) -> str:
    """In brackets what a line was compared with, where that is not of its own architecture."""
    if line.rival is None or line.rival_arch == line.who.arch:
        return ""
    return f" (against {line.rival.baseline})"


def _sentence(lines: Sequence[LowBitLine]) -> str:
    done = [line for line in lines if line.result.seeds and line.who.bits != FULL_PRECISION]
    if not done:
        return NOTHING
    held = [line for line in done if line.holds_width] or done
    best = [max((line for line in held if line.who.bits == bits), key=lambda line: line.result.mean)
            for bits in dict.fromkeys(line.who.bits for line in held)]  # fmt: skip
    named = [f"{line.who.label} {percent(line.result.mean)}" for line in best]
    better = [line for line in done if line.rival is not None and line.rival.called and line.rival.mean > 0]
    same = [f"{line.who.label}{other_network(line)}" for line in better if line.holds_width]
    wider = [f"{line.who.label} ({line.costs['tensor_bits']:.1f} bits)" for line in better if not line.holds_width]
    text = f"Best of each width, of methods whose values all hold it: {listing(named)}."
    if same:
        text += f" Better than Degree-Quant at the same width: {listing(same)}."
    return f"{text} Better with more bits over all values: {listing(wider)}." if wider else text
