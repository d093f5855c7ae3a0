"""What one site at fewer bits costs; only for studies with such runs."""

from __future__ import annotations

from dqviz.analysis.infos.one_site import one_site
from dqviz.plots import plot_one_site
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    return chart("one-site", "One site at fewer bits, the rest unchanged", one_site(source.rows), plot_one_site)


MAKER = Maker("one-site", "One site at fewer bits", "What each site alone costs at fewer bits.", make)
