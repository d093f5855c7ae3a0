"""Which differences hold: paired over seeds, against full precision and against plain quantization-aware training."""

from __future__ import annotations

from dqviz.analysis.group import Row, seeds_by_variant
from dqviz.analysis.infos.paired_differences import paired_differences
from dqviz.plots import plot_paired_differences
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

# What people ask first: what does quantizing cost, and does a method beat plain training at the same width.
BASELINES = ("fp32", "qat")


def make(source: Source) -> list[Block]:
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.networks()):
        for baseline in baselines(rows):
            info = paired_differences(rows, baseline)
            heading = f"{title}: difference to {baseline}"
            blocks += chart(f"difference-{at}-{len(blocks)}", heading, info, plot_paired_differences)
    return blocks


def baselines(rows: list[Row]) -> list[str]:
    """Labels to compare with; without any of the usual ones the first group."""
    found = list(seeds_by_variant(rows))
    usual = [who.label for method in BASELINES for who in found if who.method == method]
    return usual if usual or len(found) < 2 else [found[0].label]


MAKER = Maker("differences", "Paired differences", "Differences paired over seeds, with verdicts.", make)
