"""How many bits a network's values take: on features, on all tensors, and what the features weigh together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dqviz.quant.qtype import FLOAT_BITS
from dqviz.quant.sparse import same_values
from dqviz.quant.where import NODE_SITES, Site
from dqviz.training import Recorded


def sizes(recorded: Sequence[Recorded], x: Tensor) -> dict[str, float | None]:
    """Mean bits and bytes over what one pass of the data set's features `x` met.

    `feature_bits`: bits of a quantized feature, over the rows of nodes between the layers. `tensor_bits`: bits of a
    value over all sites that the profile names or the method quantizes, weights and the data set's own features
    included; what a method leaves in float at a site that the profile names counts 32. `feature_bytes`: the rows of
    nodes at those sites, at their bits. The data set's own features are part of `tensor_bits` only; of sparse rows the
    stored values count. None without such a site.
    """
    named = [one for one in recorded if min(one.quantizer.asked, one.quantizer.qtype.bits) < FLOAT_BITS]
    features = [one for one in named if of_nodes(one, x.size(0)) and not same_values(one.x, x)]
    quantized = [one for one in features if not one.quantizer.qtype.is_float]
    return {
        "feature_bits": mean_bits(quantized),
        "tensor_bits": mean_bits(named),
        "feature_bytes": sum(count(one) * bits(one) for one in features) / 8 if features else None,
    }


def of_nodes(one: Recorded, num_nodes: int) -> bool:
    """Rows of nodes, not of edges, weights or graphs."""
    where = one.quantizer.where
    known = where is not None and where.site in NODE_SITES - {Site.ALPHA}
    return known and one.node is None and one.x.size(0) == num_nodes


def mean_bits(sites: Sequence[Recorded]) -> float | None:
    values = sum(map(count, sites))
    return sum(count(one) * bits(one) for one in sites) / values if values else None


def count(one: Recorded) -> int:
    return one.x.values().numel() if one.x.layout == torch.sparse_csr else one.x.numel()


def bits(one: Recorded) -> float:
    return one.quantizer.mean_bits(one.x)
