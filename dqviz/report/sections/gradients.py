"""What quantization does to the training gradient, by in-degree."""

from __future__ import annotations

from dqviz.analysis.infos.gradient_error import RULES, gradient_error
from dqviz.plots import plot_gradient_error
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

TITLES = {"own": "gradient error, each method's own backward rule", "ste": "gradient error, straight through for all"}


def make(source: Source) -> list[Block]:
    """At the first layer's weights, whose gradient has passed every quantizer; older runs recorded none."""
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        groups = source.groups(rows, "gradients")
        for rule in RULES:
            info = gradient_error(groups, rule=rule)
            blocks += chart(f"gradients-{rule}-{at}", f"{title}: {TITLES[rule]}", info, plot_gradient_error)
    return blocks


MAKER = Maker("gradients", "Gradient error by in-degree", "Direction and size of each degree group's gradient.", make)
