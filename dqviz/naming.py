"""How sites, layers and methods are called where people read them; their keys ('1/aggregate', 'dq') are for tables."""

from __future__ import annotations

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
"""Kinds of sites in the words of METHODS.md 1.3."""

METHODS = {
    "fp32": "FP32",
    "ptq": "PTQ",
    "qat": "QAT",
    "nqat": "nQAT",
    "dq": "Degree-Quant",
    "qlr": "QLR",
    "smp": "SMP",
    "a2q": "A2Q",
    "sgquant": "SGQuant",
    "vq-gnn": "VQ-GNN",
    "mixq": "MixQ",
    "hgq": "HGQ",
    "topgq": "TopGQ",
    "vectorwise": "Vector-wise",
}
"""How people write a method; a name that is not here is shown as it is registered."""


def method_label(method: str) -> str:
    return METHODS.get(method, method)


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


def kind_name(site: str) -> str:
    """A kind of site inside a sentence: 'aggregate', 'feature xW'."""
    name = site_label("", site).split(" (")[0]
    return f"{name[0].lower()}{name[1:]}"


def place(key: str) -> str:
    """A site inside a sentence: '1/aggregate' -> 'the aggregate of layer 1', '0/mlp1/weight' -> 'the weights (mlp1) of
    layer 0'. 'no site' where no run has one; what is no key ('output') as it is.
    """
    if "/" not in key:
        return key or "no site"
    layer, part, site = split_key(key)
    return f"the {kind_name(site)}{f' ({part})' if part else ''} of {layer_label(layer).lower()}"


def split_key(key: str) -> tuple[int, str, str]:
    """'0/mlp1/weight' -> (0, 'mlp1', 'weight'); '1/aggregate' -> (1, '', 'aggregate')."""
    layer, *middle, site = key.split("/")
    return int(layer), "/".join(middle), site
