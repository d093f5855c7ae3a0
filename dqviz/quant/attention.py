"""Attention of nodes outside a part of a graph: what the loss says about the rows of the part that they attend to.

Of the softmax a node outside needs the logarithm of its denominator, m_i = log sum_k exp(e_ik), where e is the logit
after LeakyReLU. With g_i the gradient of what it got, out_i = sum_j alpha_ij h_j, and e_ij = lrelu(a h_j + b h_i):

    alpha_ij = exp(e_ij - m_i)
    dL/dh_j = sum_i alpha_ij (g_i + (g_i . h_j - g_i . out_i) lrelu'(e_ij) a)

So two numbers a head, m_i and g_i . out_i, stand beside the codewords of a node: its share of codewords. They play the
part of the extra channel of ones and of its gradient in VQ-GNN (arXiv 2110.14363, section 4).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mass(logits: Tensor, target: Tensor, slope: float) -> Tensor:
    """m [num_targets, heads] from logits [num_edges, heads] before LeakyReLU; each target has at least one edge."""
    e = F.leaky_relu(logits, slope)
    index = target[:, None].expand_as(e)
    top = torch.full((int(target.max()) + 1, e.size(1)), -torch.inf, dtype=e.dtype)
    top.scatter_reduce_(0, index, e, "amax")
    return torch.zeros_like(top).scatter_add_(0, index, (e - top[target]).exp()).log() + top


def way_back(
    x: Tensor, features: Tensor, gradients: Tensor, shares: tuple[Tensor, Tensor], leaving: Tensor,
    source: Tensor, target: Tensor, slope: float,
) -> Tensor:  # fmt: skip
    """dL/dh [rows, heads * channels] of rows x through the targets outside.

    features, gradients [others, heads * channels] and shares (m and g . out, [others, heads]) are codewords; `leaving`
    [2, num_leaving]; source, target [heads, channels] are the vectors a and b. No attention is above 1, whatever the
    codewords say.
    """
    h, g, others = (values.view(-1, *source.shape) for values in (x, gradients, features))
    (sender, receiver), (total, told) = leaving, shares
    asked = (others * target).sum(2)
    raw = (h * source).sum(2)[sender] + asked[receiver]
    inclination = torch.where(raw > 0, 1.0, slope)
    alpha = (raw * inclination - total[receiver]).clamp(max=0).exp()
    inner = (g[receiver] * h[sender]).sum(2) - told[receiver]
    passed = alpha[..., None] * (g[receiver] + (inner * inclination)[..., None] * source)
    return torch.zeros_like(h).index_add_(0, sender, passed).flatten(1)
