"""What was measured on this machine: whole models and single operations, integer beside the float peers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dqviz.analysis.infos.latency import latency_bars, latency_operations
from dqviz.naming import method_label
from dqviz.plots import plot_latency_bars, plot_latency_operations
from dqviz.report.blocks import Block, Text
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source
from dqviz.runs.costs import together
from dqviz.runs.rows import RunRow

NOTHING = "No run of this study has been timed: start a measurement on the Latency page, then build the report again."


def make(source: Source) -> list[Block]:
    """One pair of charts a measurement: the widths of a network were timed in the same rounds, so their ratios hold."""
    blocks: list[Block] = []
    for at, runs in enumerate(together(source.finished)):
        frame = timed(source, runs)
        if frame is not None:
            title = f"{source.heading(runs[0].dataset, runs[0].arch)}, {method_label(runs[0].method)}"
            blocks += chart(f"latency-{at}", f"{title}: whole model", latency_bars(frame), plot_latency_bars)
            blocks += chart(f"operations-{at}", f"{title}: by operation", latency_operations(frame),
                            plot_latency_operations)  # fmt: skip
    return blocks or [Text(NOTHING)]


def timed(source: Source, runs: Sequence[RunRow]) -> pd.DataFrame | None:
    """The measurement that these runs, which differ in their bits alone, were part of."""
    tables = (source.table(run.run_id, "latency") for run in runs)
    return next((table for table in tables if table is not None and not table.empty), None)


MAKER = Maker("latency", "Latency", "Measured times beside the float peers.", make)
