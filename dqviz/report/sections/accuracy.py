"""Accuracy and flips by in-degree."""

from __future__ import annotations

from dqviz.analysis.infos.accuracy_by_degree import accuracy_by_degree_info
from dqviz.plots import plot_accuracy_by_degree
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        info = accuracy_by_degree_info(source.groups(rows, "accuracy"), "test")
        blocks += chart(f"accuracy-by-degree-{at}", f"{title}: test accuracy by in-degree", info,
                        plot_accuracy_by_degree)  # fmt: skip
    return blocks


MAKER = Maker("accuracy", "Accuracy by in-degree", "Test accuracy and flips by in-degree.", make)
