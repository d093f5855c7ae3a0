"""Error by in-degree: one small multiple a data set and architecture."""

from __future__ import annotations

import json
from typing import Any

from dqviz.analysis.infos.degree_histogram import degree_histogram, facts_of_nodes
from dqviz.analysis.infos.error_by_degree import error_by_degree
from dqviz.analysis.infos.growth import growth
from dqviz.naming import place
from dqviz.plots import plot_degree_histogram, plot_error_by_degree, plot_growth
from dqviz.report.blocks import Block
from dqviz.report.charts import chart
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source, last_key
from dqviz.runs.home import shipped_facts


def make(source: Source) -> list[Block]:
    """At the deepest sum over neighbours: there the errors of all layers have come together."""
    blocks = histograms(source)
    for at, (title, rows) in enumerate(source.multiples()):
        groups, slopes = source.groups(rows, "degree"), source.groups(rows, "growth")
        key = last_key(groups, "aggregate")
        if key is not None:
            error = error_by_degree(groups, key)
            blocks += chart(
                f"error-by-degree-{at}", f"{title}: error after the sum, {place(key)}", error, plot_error_by_degree
            )
            blocks += chart(f"growth-{at}", f"{title}: growth with in-degree", growth(slopes, key), plot_growth)
    return blocks


def histograms(source: Source) -> list[Block]:
    """Nodes by in-degree, once for each data set: of the first run that kept its nodes, else as shipped with dqviz."""
    blocks: list[Block] = []
    for at, dataset in enumerate(dict.fromkeys(run.dataset for run in source.finished)):
        runs = (run.run_id for run in source.finished if run.dataset == dataset)
        nodes = next((frame for run in runs if (frame := source.table(run, "nodes")) is not None), None)
        facts = shipped(dataset) if nodes is None else facts_of_nodes(nodes)
        if facts:
            info = degree_histogram(facts)
            blocks += chart(f"degree-histogram-{at}", f"{dataset}: nodes by in-degree", info, plot_degree_histogram)
    return blocks


def shipped(dataset: str) -> dict[str, Any]:
    """Facts of a data set that come with dqviz; {} where there are none. Kept studies have no table of their nodes."""
    path = shipped_facts(dataset)
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path else {}


MAKER = Maker("degree", "Error by in-degree", "Accumulated error against in-degree, and its growth.", make)
