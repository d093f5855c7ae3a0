"""The works this study's runs used."""

from __future__ import annotations

from dqviz.report.bibliography import plain, used
from dqviz.report.blocks import Block, Code, Text
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source


def make(source: Source) -> list[Block]:
    entries = used(source)
    if not entries:
        return [Text("No run has finished, so no work was used.")]
    return [*(Text(plain(entry)) for entry in entries.values()), Code("\n\n".join(entries.values()))]


MAKER = Maker("citations", "Works used", "The works the runs used, as text and BibTeX.", make)
