"""How runs, sites and layers are called on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Site kinds in the words of METHODS.md 1.3.
SITES = {
    "input": "Input x",
    "weight": "Weights",
    "feature": "Feature xW",
    "norm": "Edge coefficients",
    "message": "Message",
    "aggregate": "Aggregate (after the sum)",
    "update": "Update (layer output)",
    "attention": "Attention vector",
    "alpha": "Attention logits",
}


def run_name(row: Any) -> str:
    """'GCN DQ INT4 on cora, seed 2'; 'Timing' for a measurement."""
    if row.kind == "measure":
        return "Timing"
    method = str(row.method).upper()
    bits = "" if method == row.bits_label else f" {row.bits_label}"
    return f"{str(row.arch).upper()} {method}{bits}, {row.dataset}, seed {row.seed}"


def layer_label(layer: int) -> str:
    """Counted from 0, as in the keys of sites."""
    return f"Layer {layer}"


def site_label(part: str, site: str) -> str:
    """'Aggregate (after the sum)', or 'Weights of mlp1' inside a part of a layer."""
    name = SITES.get(site, site)
    return f"{name}, {part}" if part else name


def site_name(key: str) -> str:
    """'1/aggregate' -> 'Aggregate, layer 1'."""
    layer, part, site = split_key(key)
    return f"{site_label(part, site).split(' (')[0]}, {layer_label(layer).lower()}"


def split_key(key: str) -> tuple[int, str, str]:
    """'0/mlp1/weight' -> (0, 'mlp1', 'weight'); '1/aggregate' -> (1, '', 'aggregate')."""
    layer, *middle, site = key.split("/")
    return int(layer), "/".join(middle), site


def unique(names: Sequence[str], tags: Sequence[str]) -> list[str]:
    """`names`, with the tag in brackets where a name occurs twice."""
    return [name if names.count(name) == 1 else f"{name} ({tag[:6]})" for name, tag in zip(names, tags, strict=True)]


def plain(text: str) -> str:
    """A person's text as Markdown that shows it and nothing else: no picture to fetch, no link, no formula."""
    return text.translate({ord(letter): f"\\{letter}" for letter in r"\`*_{}[]()#+-!|<>$:~"})
