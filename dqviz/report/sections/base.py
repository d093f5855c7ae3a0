"""One section: its name, its title, what it holds in a sentence, and what makes its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dqviz.report.blocks import Block, Section
from dqviz.report.source import Source


@dataclass(frozen=True)
class Maker:
    """`make` returns no block when the study has nothing for it."""

    name: str
    title: str
    summary: str
    make: Callable[[Source], Sequence[Block]]

    def section(self, source: Source) -> Section:
        return Section(self.name, self.title, tuple(self.make(source)))
