"""What was measured on this machine: whole models and single operations, integer beside the float peers."""

from __future__ import annotations

import pandas as pd

from dqviz.analysis.infos.latency import latency_bars, latency_operations
from dqviz.plots import plot_latency_bars, plot_latency_operations
from dqviz.report.blocks import Block, Text
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

NOTHING = "No run of this study has been timed: start a measurement on the Latency page, then build the report again."


def make(source: Source) -> list[Block]:
    """One pair of charts an architecture that was timed: the first run of it that has a latency table."""
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        frame = timed(source, [str(row["run_id"]) for row in rows])
        if frame is not None:
            blocks += chart(f"latency-{at}", f"{title}: whole model", latency_bars(frame), plot_latency_bars)
            blocks += chart(f"operations-{at}", f"{title}: by operation", latency_operations(frame),
                            plot_latency_operations)  # fmt: skip
    return blocks or [Text(NOTHING)]


def timed(source: Source, run_ids: list[str]) -> pd.DataFrame | None:
    """Timings of these runs one below the other; the same variant timed twice counts once, the newest first."""
    found = [frame for run_id in run_ids if (frame := source.table(run_id, "latency")) is not None and not frame.empty]
    if not found:
        return None
    return pd.concat(found, ignore_index=True).drop_duplicates(["op", "backend", "precision", "graph", "threads"])


MAKER = Maker("latency", "Latency", "Measured times beside the float peers.", make)
