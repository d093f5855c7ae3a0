"""What a report is made of, whatever the format: sections of texts, tables, charts and code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Text:
    """One paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Something to copy: a command, an entry of a bibliography."""

    text: str


@dataclass(frozen=True, eq=False)
class Table:
    """A table with plain cells; `name` is its file name in a zip and its label in LaTeX."""

    name: str
    title: str
    frame: pd.DataFrame
    sentence: str = ""


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure as plotly JSON (data, layout), the sentence under it, and the numbers it draws."""

    name: str
    title: str
    figure: dict[str, Any]
    sentence: str
    alt: str
    table: pd.DataFrame


Block = Text | Code | Table | Chart


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """Everything a format needs; nothing in it is markup."""

    study_id: str
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    command: str
    study_json: str
    bibliography: str
    rows: tuple[dict[str, Any], ...] = field(default=())

    def tables(self) -> Iterator[Table]:
        """Every table, those behind the charts included."""
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Table):
                    yield block
                elif isinstance(block, Chart):
                    yield Table(block.name, block.title, block.table, block.sentence)
