"""Accuracies of Degree-Quant and its baselines (METHODS.md 1.7)."""

from __future__ import annotations

from dqviz.analysis.published.entry import READ, UNVERIFIED, Published

SOURCE = "Tailor et al. 2021, arXiv 2008.05000"

# (method, bits, architecture): per cent on Cora, then on CiteSeer
_PLANETOID: dict[tuple[str, int, str], tuple[float, float, float, float]] = {
    ("fp32", 32, "gcn"): (81.4, 0.7, 71.1, 0.7),
    ("fp32", 32, "gat"): (83.1, 0.4, 72.5, 0.7),
    ("fp32", 32, "gin"): (77.6, 1.1, 66.1, 0.9),
    ("qat", 8, "gcn"): (81.0, 0.7, 71.3, 1.0),
    ("qat", 8, "gat"): (81.9, 0.7, 71.2, 1.0),
    ("qat", 8, "gin"): (75.6, 1.2, 63.0, 2.6),
    ("nqat", 8, "gcn"): (81.0, 0.8, 70.7, 0.8),
    ("nqat", 8, "gat"): (82.5, 0.5, 71.2, 0.7),
    ("nqat", 8, "gin"): (77.4, 1.3, 65.1, 1.4),
    ("dq", 8, "gcn"): (81.7, 0.7, 71.0, 0.9),
    ("dq", 8, "gat"): (82.7, 0.7, 71.6, 1.0),
    ("dq", 8, "gin"): (78.7, 1.4, 67.5, 1.4),
    ("qat", 4, "gcn"): (77.2, 1.5, 64.1, 4.1),
    ("qat", 4, "gat"): (55.6, 5.4, 65.3, 1.9),
    ("qat", 4, "gin"): (42.5, 4.5, 18.6, 2.9),
    ("nqat", 4, "gcn"): (78.1, 1.5, 65.8, 2.6),
    ("nqat", 4, "gat"): (54.9, 5.6, 65.5, 1.7),
    ("nqat", 4, "gin"): (45.0, 5.0, 34.6, 3.8),
    ("dq", 4, "gcn"): (78.3, 1.7, 66.9, 2.4),
    ("dq", 4, "gat"): (71.2, 2.9, 67.6, 1.5),
    ("dq", 4, "gin"): (69.9, 3.4, 60.8, 2.1),
}
# (method, bits, architecture): per cent on superpixels of MNIST
_MNIST: dict[tuple[str, int, str], tuple[float, float]] = {
    ("fp32", 32, "gcn"): (90.0, 0.2),
    ("fp32", 32, "gat"): (95.6, 0.1),
    ("fp32", 32, "gin"): (93.9, 0.6),
    ("qat", 8, "gcn"): (90.9, 0.2),
    ("qat", 8, "gat"): (95.8, 0.3),
    ("qat", 8, "gin"): (96.7, 0.2),
    ("nqat", 8, "gcn"): (91.1, 0.1),
    ("nqat", 8, "gat"): (96.0, 0.1),
    ("nqat", 8, "gin"): (96.4, 0.3),
    ("dq", 8, "gcn"): (90.9, 0.2),
    ("dq", 8, "gat"): (95.8, 0.4),
    ("dq", 8, "gin"): (96.6, 0.1),
    ("dq", 4, "gcn"): (84.4, 1.3),
    ("dq", 4, "gat"): (93.1, 0.3),
    ("dq", 4, "gin"): (95.5, 0.4),
}
# GIN on REDDIT-BINARY: FP32 from the paper, the rest from the authors' published logs
_REDDIT = (
    ("fp32", 32, 92.0, 1.5, UNVERIFIED),
    ("qat", 8, 75.7, 5.8, READ),
    ("dq", 8, 92.4, 2.6, READ),
    ("qat", 4, 56.2, 8.2, READ),
    ("dq", 4, 86.2, 3.2, READ),
)

LOSS = "the epoch of the least validation loss is kept"
WHOLE_SET = "all 70,000 digits, wider layers"

DEGREE_QUANT: tuple[Published, ...] = (
    *(Published("cora", a, m, b, v[0] / 100, v[1] / 100, UNVERIFIED, LOSS) for (m, b, a), v in _PLANETOID.items()),
    *(Published("citeseer", a, m, b, v[2] / 100, v[3] / 100, UNVERIFIED, LOSS) for (m, b, a), v in _PLANETOID.items()),
    *(Published("mnist", a, m, b, v[0] / 100, v[1] / 100, UNVERIFIED, WHOLE_SET) for (m, b, a), v in _MNIST.items()),
    *(Published("reddit-binary", "gin", m, b, mean / 100, std / 100, mark) for m, b, mean, std, mark in _REDDIT),
)
