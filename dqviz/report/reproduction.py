"""docs/reproduction.md: a published table made again, written from the ledger as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dqviz.analysis.group import width_of
from dqviz.analysis.published import MARKS, SOURCE
from dqviz.analysis.reproduction import MORE_SEEDS, SUBJECT, WIDE, Claim, Key, Result, asking, claims, result
from dqviz.naming import method_label
from dqviz.runs.presets import preset_titles
from dqviz.runs.reproducing import DEGREE_QUANT, Reproduction, tables

INTRODUCTION = f"""
Written by `make reproduce` (`dqviz reproduce`) from the ledger: {SOURCE}, trained again under one protocol.

Protocol, the same for every method: the data set's public split (or the fold of its cross-validation); the model of the
best validation accuracy, ties to the lower validation loss; the test split read once a run, with that model; mean and
standard deviation over at least 10 seeds, {MORE_SEEDS} where the standard deviation exceeds {100 * WIDE:g} points; the
same architecture and widths. Where settings were searched, `dqviz search` saw validation accuracy alone and used seeds
that no final run has; `dqviz/training/settings` holds them with the trials of each cell. A cell keeps what an earlier
search found where validation prefers it, and counts the trials of all. Where a section names more than two search
seeds, two of them chose the five best trials; these, what an earlier search had found, and what QAT, nQAT and
Degree-Quant had found for each other were judged on all of them. PTQ has the network of its row's FP32.

Quantized: inputs, weights, products xW, edge coefficients, messages, aggregates and layer outputs (site profile
`paper`); with GAT also the attention vectors and logits. Not quantized: the softmax of attention, biases, pooling, the
loss. Percentiles leave zeros out at every site, because features are mostly zeros. At evaluation nothing is protected.
Protected nodes are so inside GIN's MLP as well, or are quantized there, as in the authors' code, where a command below
says `method.mlp=quantized`. "Learned steps" (LSQ): the search chose them over observed ranges; of Degree-Quant only the
mask is then left, no percentile and no rule for the extreme codes. Preset `ablation` trains its parts as published.

Ours: mean and standard deviation of test accuracy in per cent over the seeds, with the 95 % interval of the mean
(Student's t). Reported figures come from other protocols (METHODS.md section 0) and carry their mark: [S] read in the
authors' published logs, [E] read in an excerpt, [M] reported (unverified): not read in the paper itself. The
difference is ours minus the reported mean, in points. A claim about two methods holds when the paired interval over
seeds lies on the reported side of 0; a claim against full precision fails when all of the interval loses more than was
reported. Seconds are the wall time of all seeds of a cell, one thread a run. Trials: how many chose the
settings of the cell; 0 where they are the preset's.
"""
TABLE = ("", "method", "bits", "ours", "95 % interval", "n", "trials", "reported", "difference", "verdict", "seconds")
CLAIMS = ("", "Degree-Quant", "baseline", "ours", "95 % interval", "pairs", "reported", "verdict")
LEFT = ("", "method", "bits", "Degree-Quant", "verdict", "baseline", "otherwise", "against Degree-Quant", "accuracy",
        "loss")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Made:
    """A table made again and what its cells say, computed once for all that ask: one result a cell, in their order."""

    part: Reproduction
    results: tuple[Result, ...]

    @classmethod
    def of(cls, part: Reproduction) -> Made:
        return cls(part, tuple(result(key, rows) for key, rows in part.rows.items()))

    @property
    def asking(self) -> list[Result]:
        """Cells that want more seeds than there are, for their own spread or that of a cell they are paired with."""
        return [] if self.part.folded else asking(self.results)


def document(made: Sequence[Made], where: str = "") -> str:
    """The whole file. `where`: machine and versions, in one sentence."""
    head = ["# Degree-Quant, reproduced", INTRODUCTION.strip(), *([where] if where else [])]
    return "\n\n".join([*head, *(section(one) for one in made), *unbegun(made)]) + "\n"


def unbegun(made: Sequence[Made]) -> list[str]:
    """The tables of which there is no run here, and how to make them."""
    kind = made[0].part.kind if made else DEGREE_QUANT
    here = {one.part.dataset for one in made}
    left = [dataset for dataset in tables(kind) if dataset not in here]
    if not left:
        return []
    titles = preset_titles()
    lines = [f"- {titles[f'{kind}-{name}']}: `{command_of(kind, name)}`" for name in left]
    return ["## Tables of which nothing is trained here", "\n".join(lines)]


def command_of(kind: str, dataset: str) -> str:
    """Makes a table."""
    return f"dqviz reproduce{'' if kind == DEGREE_QUANT else f' --table {kind}'} --datasets {dataset}"


def section(made: Made) -> str:
    part = made.part
    lines = [*standing(part), "### Cells",
             table(TABLE, [cells_of(one, part) for one in made.results])]  # fmt: skip
    found = claims(part.rows)
    if found:
        lines += ["### Degree-Quant against the baselines", table(CLAIMS, [claim_cells(one, part) for one in found])]
    return "\n\n".join([*lines, *wanted(made), *commands(part)])


def standing(part: Reproduction) -> list[str]:
    """What was asked for, how its settings were found, and which runs are missing."""
    lacking = part.missing()
    lines = [f"## {part.study.name}", *part.notes, searching(part)]
    if not lacking:
        return [*lines, f"All {len(part.study.runs)} runs of the preset have finished."]
    names = "\n".join(f"- {name_of(key)}: {words}" for key, words in lacking.items())
    return [*lines, f"**Incomplete.** Of {len(part.study.runs)} runs, these are missing:", names]


def commands(part: Reproduction) -> list[str]:
    text = "All cells, then each cell by itself (its first seed; the others likewise):"
    return ["### Commands", text, "\n".join(f"    {line}" for line in part.commands())]


def searching(part: Reproduction) -> str:
    """How the settings were found."""
    found = part.searched
    if not found:
        return "Settings: none of these cells was searched; they have those of the preset."
    trials = sorted({cell.found.spent for cell in found.values()})
    seeds = sorted({", ".join(map(str, cell.found.seeds)) for cell in found.values()})
    text = (f"Settings: {' or '.join(map(str, trials))} trials a cell on search seeds {' or '.join(seeds)}; "
            f"`dqviz/training/settings/{part.dataset}.yaml` names the study of each.")  # fmt: skip
    left = [name_of(key) for key in part.specs if key not in found]
    return f"{text} Not searched, with the preset's settings: {', '.join(left)}." if left else text


def wanted(made: Made) -> list[str]:
    """Which cells ask for more seeds, and how to run them."""
    found, part = made.asking, made.part
    if not found:
        return []
    names = ", ".join(f"{name_of(one.key)} ({100 * one.std:.1f})" for one in found)
    why = f"In these cells, or one they are paired with, the standard deviation exceeds {100 * WIDE:g} points"
    return [f"{why}: {names}. They ask for {MORE_SEEDS} seeds: `{command_of(part.kind, part.dataset)} --more`."]


def cells_of(one: Result, part: Reproduction) -> list[str]:
    """A line of the table; it says where the search chose learned steps, which the published method does not have."""
    _, arch, _, bits = one.key
    known = one.reported
    trap = f", {known.note}" if known and part.notes else ""
    reported = f"{spread(known.mean, known.std)} [{MARKS[known.mark]}]{trap}" if known else "–"
    return [arch.upper(), method_of(one.key, part), width_of({"bits": bits}), spread(one.mean, one.std),
            span(one.low, one.high), str(len(one.seeds)), str(part.trials(one.key)), reported, signed(one.difference),
            one.verdict, f"{one.seconds:.0f}"]  # fmt: skip


def method_of(key: Key, part: Reproduction) -> str:
    """The method, and whether its steps are learned: then no percentile and no rule for the extreme codes has a say."""
    return f"{method_label(key[2])}, learned steps" if part.learns(key) else method_label(key[2])


def claim_cells(one: Claim, part: Reproduction) -> list[str]:
    width = width_of({"bits": one.bits})
    steps = "learned steps" if part.learns((part.dataset, one.arch, SUBJECT, one.bits)) else "observed ranges"
    baseline = method_of((part.dataset, one.arch, one.baseline, one.bits), part)
    return [one.arch.upper(), f"{width}, {steps}", baseline, signed(one.mean),
            f"{signed(one.low)} to {signed(one.high)}", str(one.pairs), signed(one.reported), one.verdict]  # fmt: skip


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; an architecture is named in its first row only."""
    rule = ["---" if head in LEFT else "---:" for head in heads]
    shown = [[row[0] if at == 0 or rows[at - 1][0] != row[0] else "", *row[1:]] for at, row in enumerate(rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(heads), rule, *shown])


def name_of(key: Key) -> str:
    _, arch, method, bits = key
    return f"{arch.upper()} {method_label(method)}" + ("" if method == "fp32" else f" {width_of({'bits': bits})}")


def spread(mean: float, std: float) -> str:
    """'81.4 ± 0.7' in per cent."""
    if not np.isfinite(mean):
        return "–"
    return f"{100 * mean:.1f} ± {100 * std:.1f}" if np.isfinite(std) else f"{100 * mean:.1f}"


def span(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}" if np.isfinite(low) else "–"


def signed(share: float) -> str:
    """'+0.3', '-1.2' points; '-0.03' where one digit would hide the sign."""
    if not np.isfinite(share):
        return "–"
    return f"{100 * share:+.1f}" if abs(share) >= 0.0005 or share == 0 else f"{100 * share:+.2g}"
