"""Accuracies published elsewhere, as data (METHODS.md 1.7 and 2 to 6), to stand beside measured ones, marked.

Not comparable to the digit: protocols differ (METHODS.md section 0), and `trap` says how.
"""

from __future__ import annotations

from dqviz.analysis.published.degree_quant import DEGREE_QUANT, SOURCE
from dqviz.analysis.published.entry import EXCERPT, MARKS, READ, UNVERIFIED, Published
from dqviz.analysis.published.low_bit import AVERAGE_LOSS, LOW_BIT, SPEED_UP

__all__ = ["AVERAGE_LOSS", "EXCERPT", "LOW_BIT", "MARKS", "PUBLISHED", "READ", "SOURCE", "SPEED_UP", "UNVERIFIED",
           "Published", "published"]  # fmt: skip

PUBLISHED: tuple[Published, ...] = (*DEGREE_QUANT, *LOW_BIT)


def published(dataset: str, arch: str, method: str, bits: int) -> Published | None:
    """What was published for this combination, or None."""
    for entry in PUBLISHED:
        if entry[:4] == (dataset, arch, method, bits):
            return entry
    return None
