"""The main table: every group of seeds with its mean, interval and cost, and what was published for it."""

from __future__ import annotations

from dqviz.analysis.infos.compare_table import compare_table
from dqviz.analysis.infos.low_bit import low_bit_of
from dqviz.analysis.infos.pareto import pareto
from dqviz.plots import plot_compare_table, plot_pareto
from dqviz.report.blocks import Block, Text
from dqviz.report.charts import chart, table
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

# Published figures come from other protocols: they stand beside ours, no verdict is drawn from them.
NOTE = """
Columns that begin with 'reported' hold published figures, selected and averaged by their authors' own rules: they are
shown beside the measured ones and not compared with them. 'reported (unverified)' was not read in the paper itself. The
note says what their protocol does otherwise, where that is known.
"""
COSTS = (("size_bytes", "model size"), ("feature_bytes", "feature size"), ("tensor_bits", "bits of all values"))
"""The first for every study, the others where methods of few bits stand beside Degree-Quant."""


def make(source: Source) -> list[Block]:
    info = compare_table(source.rows)
    if info.table.empty:
        return [Text("No run of this study has finished, so there is nothing to compare.")]
    note = [Text(" ".join(NOTE.split()))] if "reported" in info.table else []
    low = table("low-bit", "Bits, sizes and the difference to Degree-Quant at the same bits", low_bit_of(source.rows))
    parts: list[Block] = [*table("methods", "Methods, mean and 95 % interval over seeds", info), *low, *note]
    for at, (title, rows) in enumerate(source.multiples()):
        parts += chart(f"test-accuracy-{at}", f"{title}: test accuracy", compare_table(rows), plot_compare_table)
        for cost, words in COSTS if low else COSTS[:1]:
            shown = pareto(rows, cost)
            parts += chart(f"{words.replace(' ', '-')}-{at}", f"{title}: accuracy against {words}", shown, plot_pareto)
    return parts


MAKER = Maker("methods", "Methods", "Accuracy of every method with its interval over seeds, and its cost.", make)
