"""From an analysis to a block: the numbers come from `analysis`, the drawing from `plots`, nothing is computed here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol, TypeVar

import pandas as pd
import plotly.graph_objects as go

from dqviz.report.blocks import Block, Chart, Table


class Told(Protocol):
    """What every info dataclass has."""

    @property
    def sentence(self) -> str: ...
    @property
    def alt(self) -> str: ...
    @property
    def table(self) -> pd.DataFrame: ...


T = TypeVar("T", bound=Told)


def chart(name: str, title: str, info: T, plot: Callable[[T], go.Figure]) -> list[Block]:
    """One chart, or nothing where the analysis found no numbers. `name` is ours: it names files and elements."""
    if info.table.empty:
        return []
    figure = json.loads(plot(info).to_json())
    return [Chart(name, title, figure, info.sentence, info.alt, info.table)]


def table(name: str, title: str, info: Told) -> list[Block]:
    """An analysis as a table alone."""
    return [] if info.table.empty else [Table(name, title, info.table, info.sentence)]
