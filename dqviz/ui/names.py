"""How runs are called on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dqviz.naming import method_label


def run_name(row: Any) -> str:
    """'GCN Degree-Quant INT4, cora, seed 2'; 'Timing' for a measurement."""
    return "Timing" if row.kind == "measure" else f"{network_name(row)}, {row.dataset}, seed {row.seed}"


def network_name(row: Any) -> str:
    """'GCN Degree-Quant INT4', 'GIN FP32'."""
    method = method_label(row.method)
    bits = "" if method == row.bits_label else f" {row.bits_label}"
    return f"{row.arch.upper()} {method}{bits}"


def unique(names: Sequence[str], tags: Sequence[str]) -> list[str]:
    """`names`, with the tag in brackets where a name occurs twice."""
    return [name if names.count(name) == 1 else f"{name} ({tag[:6]})" for name, tag in zip(names, tags, strict=True)]


def plain(text: str) -> str:
    """A person's text as Markdown that shows it and nothing else: no picture to fetch, no link, no formula."""
    return text.translate({ord(letter): f"\\{letter}" for letter in r"\`*_{}[]()#+-!|<>$:~"})
