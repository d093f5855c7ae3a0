"""How runs are called on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def run_name(row: Any) -> str:
    """'GCN DQ INT4 on cora, seed 2'; 'Timing' for a measurement."""
    if row.kind == "measure":
        return "Timing"
    method = str(row.method).upper()
    bits = "" if method == row.bits_label else f" {row.bits_label}"
    return f"{str(row.arch).upper()} {method}{bits}, {row.dataset}, seed {row.seed}"


def unique(names: Sequence[str], tags: Sequence[str]) -> list[str]:
    """`names`, with the tag in brackets where a name occurs twice."""
    return [name if names.count(name) == 1 else f"{name} ({tag[:6]})" for name, tag in zip(names, tags, strict=True)]


def plain(text: str) -> str:
    """A person's text as Markdown that shows it and nothing else: no picture to fetch, no link, no formula."""
    return text.translate({ord(letter): f"\\{letter}" for letter in r"\`*_{}[]()#+-!|<>$:~"})
