"""What more layers do; only for studies whose runs differ in depth."""

from __future__ import annotations

from dqviz.analysis.infos.depth import depth
from dqviz.plots import plot_depth
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    info = depth(source.rows, lambda run_id: source.table(run_id, "smoothness"), source.default_layers)
    return chart("depth", "Accuracy, smoothness and error against depth", info, plot_depth)


MAKER = Maker("depth", "Depth", "Accuracy, smoothness and error against the number of layers.", make)
