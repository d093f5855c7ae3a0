"""How values grow when neighbours are summed: why aggregation is where error comes from."""

from __future__ import annotations

from dqviz.analysis.infos.aggregation_exponents import aggregation_exponents
from dqviz.analysis.infos.aggregation_growth import aggregation_growth
from dqviz.analysis.view import FULL_PRECISION
from dqviz.plots import plot_aggregation_exponents, plot_aggregation_growth
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    """First the exponents at full precision, every architecture beside the others; then each architecture's lines."""
    full = [row for row in source.rows if row["bits"] == FULL_PRECISION]
    fits = aggregation_exponents(source.groups(full, "aggregation"))
    blocks = chart("aggregation-exponents", "Full precision: growth with in-degree", fits, plot_aggregation_exponents)
    for at, (title, rows) in enumerate(source.multiples()):
        info = aggregation_growth(source.groups(rows, "aggregation"))
        blocks += chart(f"aggregation-{at}", f"{title}: values after the sum", info, plot_aggregation_growth)
    return blocks


MAKER = Maker("aggregation", "Growth after aggregation", "Mean and spread after the sum against in-degree.", make)
