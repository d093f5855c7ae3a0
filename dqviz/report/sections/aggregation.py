"""How values grow when neighbours are summed: why aggregation is where error comes from."""

from __future__ import annotations

from dqviz.analysis.infos.aggregation_growth import aggregation_growth
from dqviz.plots import plot_aggregation_growth
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        info = aggregation_growth(source.groups(rows, "aggregation"))
        blocks += chart(f"aggregation-{at}", f"{title}: values after the sum", info, plot_aggregation_growth)
    return blocks


MAKER = Maker("aggregation", "Growth after aggregation", "Mean and spread after the sum against in-degree.", make)
