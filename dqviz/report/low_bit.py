"""docs/lowbit.md: methods below 8 bits under one protocol, beside what was published for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dqviz.analysis.group import Identity, variant_of, width_of
from dqviz.analysis.infos.low_bit import Loss, LowBit, LowBitLine, claim_verdict, low_bit
from dqviz.analysis.infos.paired_differences import Difference
from dqviz.analysis.published import LOW_BIT, MARKS, SPEED_UP, Published
from dqviz.analysis.reproduction import MORE_SEEDS, WIDE, Key
from dqviz.analysis.view import FULL_PRECISION
from dqviz.analysis.words import number
from dqviz.naming import method_label
from dqviz.report.reproduction import (
    Made,
    commands,
    method_of,
    name_of,
    signed,
    spread,
    standing,
    table,
    unbegun,
    wanted,
)
from dqviz.runs.reproducing import LATENCY, Reproduction

INTRODUCTION = f"""
Written by `make reproduce-lowbit` (`dqviz reproduce --table lowbit`) from the ledger.

Protocol, the same for every method: the data set's public split; the model of the best validation accuracy, ties to
the lower validation loss; the test split read once a run, with that model; mean and standard deviation over at least
10 seeds, {MORE_SEEDS} where the standard deviation exceeds {100 * WIDE:g} points; an architecture has the same layers
and widths with every method. Settings are those that `dqviz search` has found by validation accuracy alone, on seeds
that no final run has; `dqviz/training/settings` holds them with the trials of each cell, which are not the same for
all. A cell of 0 trials has the preset's settings: that it is worse may be theirs. Methods that quantize in training
may choose whether each row of features is divided by its sum or left at 0 and 1, and whether quantizers come on after
a part of the epochs. SMP's multiplier is kept where no step amplifies (the authors' is free): where it lies at that
bound in all steps, as in most of these runs, SMP is one fixed filter; tab Smoothness of Error by degree shows it.

Bits: what was asked for. Feature bits: mean bits of a quantized feature between the layers. Tensor bits: mean bits of a
value over all sites of the profile `paper` (inputs, weights, products, edge coefficients, messages, aggregates, layer
outputs); what a method leaves in float counts 32 there. Model and features: kilobytes at those bits. Steps of features
are not counted: where rows or groups of rows have their own (A2Q, TopGQ, Vector-wise), one in float32 weighs as much as
eight values of 4 bits, half of a row of 16 channels. Seconds: wall time of all seeds, one thread a run.

Latency: cells are trained in profile `paper`, integer sessions run profile `integer`, so it is that of the same
architecture, method and bits trained in profile `integer` (one seed, preset `{LATENCY}`; A2Q with all sites), where
such a run was timed: features in, logits out, on the data set's own graph, median with the fastest integer kernels; of
FP32 with the fastest float variant. `dqviz measure --preset {LATENCY}` trains and times. A dash has its reason below.

Published figures stand under other protocols, so they are no yardstick to the digit; "otherwise" says what theirs does.
[S] read in the authors' text, code or logs, [E] in an excerpt, [M] reported (unverified): not read in the paper itself.
A claim about accuracy fails where our 95 % interval lies below the reported mean; a claim about the loss against full
precision fails where the paired interval lies above the reported loss.
"""
CELLS = ("", "method", "bits", "ours", "n", "trials", "feature bits", "tensor bits", "model kB", "features kB",
         "latency ms (`integer`)", "published", "otherwise", "against Degree-Quant", "seconds")  # fmt: skip
CLAIMS = ("", "method", "bits", "ours", "published", "authors' code, our protocol", "accuracy", "lost here",
          "loss reported", "loss")  # fmt: skip
SPEEDS = ("", "method", "bits", "ms", "FP32 ms", "times faster here", "reported")
ELSEWHERE = ("", "method", "bits", "published", "authors' code, our protocol", "otherwise")
NOTHING = "–"


@dataclass(frozen=True, eq=False)
class MadeLowBit(Made):
    """With what the cells cost and how they stand to Degree-Quant."""

    info: LowBit
    untimed: Mapping[Key, str]

    @classmethod
    def with_costs(
        cls, part: Reproduction, rows: Sequence[dict[str, Any]], latencies: Mapping[Key, float | str]
    ) -> MadeLowBit:
        """`rows`: those of the part's runs, in their order, with costs; `latencies`: of cells, or why there is none."""
        groups = {key: [timed(row, latencies[key]) for row in found] for key, found in part.by_cell(rows).items()}
        info = low_bit({identity(key): found for key, found in groups.items()})
        silent = {line.result.key for line in info.lines if not np.isfinite(line.costs["latency_ms"])}
        untimed = {key: why for key, why in latencies.items() if key in silent and isinstance(why, str)}
        return cls(part, tuple(line.result for line in info.lines), info, untimed)


def timed(row: dict[str, Any], latency: float | str) -> dict[str, Any]:
    """A run of a cell with the cell's latency, unless it was timed itself."""
    known = row["latency_ms"] is not None or isinstance(latency, str)
    return row if known else row | {"latency_ms": latency}


def identity(key: Key) -> Identity:
    """'A2Q INT4, GCN'."""
    dataset, arch, method, bits = key
    who = variant_of({"dataset": dataset, "arch": arch, "method": method, "bits": bits})
    return replace(who, label=f"{who.label}, {arch.upper()}")


def document(made: Sequence[MadeLowBit], where: str = "") -> str:
    """The whole file. `where`: machine and versions, in one sentence."""
    head = ["# Methods below 8 bits, under one protocol", INTRODUCTION.strip(), *([where] if where else [])]
    return "\n\n".join([*head, *(section(one) for one in made), *unbegun(made)]) + "\n"


def section(made: MadeLowBit) -> str:
    part, lines = made.part, made.info.lines
    text = [*standing(part), made.info.sentence, "### Cells",
            table(CELLS, [cells_of(line, part) for line in lines]),
            *untimed_cells(made.untimed)]  # fmt: skip
    claimed = [line for line in lines if line.loss or (line.result.reported and line.who.method != "fp32")]
    if claimed:
        text += ["### Published claims under this protocol", table(CLAIMS, [claims_of(line) for line in claimed])]
    timed = speed_ups(lines)
    if timed:
        text += ["### Published speed-ups", table(SPEEDS, timed)]
    others = elsewhere(part)
    if others:
        text += ["### Published without a cell here", table(ELSEWHERE, others)]
    return "\n\n".join([*text, *wanted(made), *commands(part)])


def untimed_cells(untimed: Mapping[Key, str]) -> list[str]:
    """Why cells have no latency, each reason once."""
    reasons: dict[str, list[str]] = {}
    for key, why in untimed.items():
        reasons.setdefault(why, []).append(name_of(key))
    lines = [f"- {', '.join(names)}: {why}." for why, names in reasons.items()]
    return ["No latency:", "\n".join(lines)] if lines else []


def cells_of(line: LowBitLine, part: Reproduction) -> list[str]:
    """A line of the table."""
    one, known, costs = line.result, line.result.reported, line.costs
    return [line.who.arch.upper(), method_of(one.key, part), width_of({"bits": line.who.bits}),
            spread(one.mean, one.std), str(len(one.seeds)), str(part.trials(one.key)), places(costs["feature_bits"]),
            places(costs["tensor_bits"]), places(costs["size_bytes"] / 1e3), places(costs["feature_bytes"] / 1e3),
            number(costs["latency_ms"]) if np.isfinite(costs["latency_ms"]) else "-",
            reported(known), (known.note if known else "") or NOTHING, against(line), f"{one.seconds:.0f}"]  # fmt: skip


def claims_of(line: LowBitLine) -> list[str]:
    one, known = line.result, line.result.reported
    return [line.who.arch.upper(), method_label(line.who.method), width_of({"bits": line.who.bits}),
            spread(one.mean, one.std), reported(known), rerun(known), claim_verdict(line) if known else NOTHING,
            *(lost(line.loss) if line.loss else [NOTHING] * 3)]  # fmt: skip


def speed_ups(lines: Sequence[LowBitLine]) -> list[list[str]]:
    """Latency against full precision of the same architecture, where a source tells it and both were timed here."""
    whole = {line.who.arch: line.costs["latency_ms"] for line in lines if line.who.bits == FULL_PRECISION}
    return [
        [line.who.arch.upper(), method_label(line.who.method), width_of({"bits": line.who.bits}),
         number(line.costs["latency_ms"]), number(whole[line.who.arch]),
         f"{whole[line.who.arch] / line.costs['latency_ms']:.2f}", f"{told[0]:g} [{MARKS[told[1]]}], how is unknown"]
        for line in lines
        if (told := SPEED_UP.get((line.who.arch, line.who.method, line.who.bits)))
        and np.isfinite(whole.get(line.who.arch, np.nan) * line.costs["latency_ms"])
    ]  # fmt: skip


def lost(loss: Loss) -> list[str]:
    """What is lost against full precision here, what was reported, and whether that holds."""
    inside = f" ({signed(loss.low)} to {signed(loss.high)})" if np.isfinite(loss.low) else ""
    ours = f"{signed(loss.mean)}{inside}" if loss.pairs else NOTHING
    return [ours, f"{signed(loss.reported)} [{MARKS[loss.mark]}]", loss.verdict]


def elsewhere(part: Reproduction) -> list[list[str]]:
    """Published figures of this data set that no cell stands beside."""
    shown = {line[:4] for line in LOW_BIT if line[:4] in part.specs}
    first = {entry[:4]: entry for entry in reversed(LOW_BIT)}
    left = [one for one in LOW_BIT if one.dataset == part.dataset and (one[:4] not in shown or first[one[:4]] != one)]
    return [
        [one.arch.upper(), method_label(one.method), told_bits(one), reported(one), rerun(one), one.trap]
        for one in left
    ]


def told_bits(known: Published) -> str:
    """'1.7' mean bits of a feature, or the width."""
    return f"{known.mean_bits:g}" if np.isfinite(known.mean_bits) else width_of({"bits": known.bits})


def reported(known: Published | None) -> str:
    """'80.9 ± 0.6 [M]'."""
    return f"{spread(known.mean, known.std)} [{MARKS[known.mark]}]" if known else NOTHING


def rerun(known: Published | None) -> str:
    """'79.3 ± 1.0, 4 seeds'."""
    if known is None or not known.rerun_seeds:
        return NOTHING
    return f"{spread(known.rerun, known.rerun_std)}, {known.rerun_seeds} seed{'s' * (known.rerun_seeds > 1)}"


def against(line: LowBitLine) -> str:
    """'+1.2 (+0.3 to +2.1, 10 pairs): better'; names Degree-Quant's architecture where it is another one."""
    one = line.rival
    if one is None or not one.pairs:
        return NOTHING
    other = "" if line.rival_arch == line.who.arch else f", Degree-Quant on {line.rival_arch.upper()}"
    inside = f"{signed(one.low)} to {signed(one.high)}, " if np.isfinite(one.low) else ""
    return f"{signed(one.mean)} ({inside}{one.pairs} pairs{other}): {called(one)}"


def called(one: Difference) -> str:
    if not one.called:
        return "no difference can be called"
    return "better" if one.mean > 0 else "worse"


def places(value: float) -> str:
    """'2.35', '4'; a dash for nothing."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if np.isfinite(value) else NOTHING
