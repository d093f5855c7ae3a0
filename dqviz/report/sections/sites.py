"""Which site hurts most."""

from __future__ import annotations

from dqviz.analysis.infos.site_errors import site_errors
from dqviz.plots import plot_site_errors
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        info = site_errors(source.groups(rows, "ranges"))
        blocks += chart(f"site-errors-{at}", f"{title}: local error of each site", info, plot_site_errors)
    return blocks


MAKER = Maker("sites", "Error by site", "Local error of every site.", make)
