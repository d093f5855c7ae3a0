"""Where and with what the runs were trained, and the command that trains them again."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dqviz.report.blocks import Block, Code, Table, Text
from dqviz.report.command import command
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

# Told elsewhere in the report, or too long for a table.
LEFT_OUT = {"citations", "spec", "seed", "run_id"}


def make(source: Source) -> list[Block]:
    found = [source.document(run.run_id, "provenance") for run in source.finished]
    blocks: list[Block] = [Text("To train the same runs again, in a checkout of dqviz:"), Code(command(source))]
    rows = merged([flat(one) for one in found if one])
    if rows:
        frame = pd.DataFrame(rows, columns=["what", "value"])
        blocks.append(Table("environment", "Environment of the runs", frame))
    else:
        blocks.append(Text("The runs left no record of their environment."))
    return blocks


def flat(document: Any, prefix: str = "") -> dict[str, str]:
    """{'versions.torch': '2.13.0'} from nested maps."""
    if not isinstance(document, dict):
        shown = ", ".join(map(str, document)) if isinstance(document, list) else str(document)
        return {prefix: shown}
    found: dict[str, str] = {}
    for key, value in document.items():
        if prefix or key not in LEFT_OUT:
            found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def merged(documents: list[dict[str, str]]) -> list[tuple[str, str]]:
    """One row a fact; where runs differ, every value with the number of runs that had it."""
    rows = []
    for key in dict.fromkeys(key for one in documents for key in one):
        values = [one[key] for one in documents if key in one]
        different = list(dict.fromkeys(values))
        shown = [f"{value} ({values.count(value)} runs)" for value in different]
        rows.append((key, different[0] if len(different) == 1 else ", ".join(shown[:4])))
    return rows


MAKER = Maker("environment", "Environment and command", "Versions, processor, threads and how to repeat it.", make)
