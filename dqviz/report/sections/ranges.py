"""Do the quantizers' ranges fit the values?"""

from __future__ import annotations

from dqviz.analysis.info import identify, stack
from dqviz.analysis.infos.levels_used import levels_used
from dqviz.analysis.infos.range_trace import range_trace
from dqviz.naming import place
from dqviz.plots import plot_levels_used, plot_range_trace
from dqviz.report.blocks import Block, Table
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source, last_key

SHOWN = ["key", "bits", "lo", "hi", "scale", "values_min", "values_max", "clipped_share", "levels_total", "levels_used",
         "entropy_bits", "sqnr_db"]  # fmt: skip
EPOCHS = 25  # of a trace: its table stands in the report too, and 200 rows a group would fill it
SENTENCE = "Ranges of the first seed of each group; shares and levels over all values of one evaluation."


def make(source: Source) -> list[Block]:
    blocks: list[Block] = []
    for at, (title, rows) in enumerate(source.multiples()):
        groups = source.groups(rows, "ranges")
        blocks += chart(f"levels-{at}", f"{title}: levels really used", levels_used(groups), plot_levels_used)
        traces = source.groups(rows, "sites")
        key = last_key(traces, "aggregate") or last_key(traces, "update")
        if key is not None:
            heading = f"{title}: range over epochs, {place(key)}"
            blocks += chart(f"range-trace-{at}", heading, range_trace(traces, key, EPOCHS), plot_range_trace)
        tables = [identify(group.frames[0][SHOWN].rename(columns={"bits": "site bits"}), group) for group in groups]
        frame = stack(tables)
        if not frame.empty:
            plain = frame.drop(columns=["dataset", "arch", "method", "bits", "profile"])
            blocks.append(Table(f"ranges-{at}", f"{title}: ranges of all sites", plain, SENTENCE))
    return blocks


MAKER = Maker("ranges", "Ranges", "Range, clipping and levels used, site by site.", make)
