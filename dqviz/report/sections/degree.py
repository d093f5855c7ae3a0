"""Error by in-degree: one small multiple a data set and architecture."""

from __future__ import annotations

from dqviz.analysis.infos.error_by_degree import error_by_degree
from dqviz.analysis.infos.growth import growth
from dqviz.plots import plot_error_by_degree, plot_growth
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source, last_key


def make(source: Source) -> list[Block]:
    """At the deepest sum over neighbours: there the errors of all layers have come together."""
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        groups, slopes = source.groups(rows, "degree"), source.groups(rows, "growth")
        key = last_key(groups, "aggregate")
        if key is not None:
            error = error_by_degree(groups, key)
            blocks += chart(
                f"error-by-degree-{at}", f"{title}: error after the sum, {key}", error, plot_error_by_degree
            )
            blocks += chart(f"growth-{at}", f"{title}: growth with in-degree", growth(slopes, key), plot_growth)
    return blocks


MAKER = Maker("degree", "Error by in-degree", "Accumulated error against in-degree, and its growth.", make)
