"""Runs that did not finish, each with its reason: a report never hides them."""

from __future__ import annotations

import pandas as pd

from dqviz.report.blocks import Block, Table, Text
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

COLUMNS = ("run_id", "dataset", "arch", "method", "bits_label", "seed", "state", "error")


def make(source: Source) -> list[Block]:
    rows = [run.row() for run in source.runs if run.state != "finished"]
    if not rows:
        return [Text(f"All {len(source.runs)} runs of the study finished.")]
    frame = pd.DataFrame([{name: row[name] for name in COLUMNS} for row in rows])
    sentence = f"{len(rows)} of {len(source.runs)} runs are not in the tables above."
    return [Table("unfinished", "Runs that did not finish", frame, sentence)]


MAKER = Maker("unfinished", "Runs that did not finish", "Failed, cancelled and open runs with their reasons.", make)
