"""Quantization-aware training: every site is quantized in every step, gradients pass by the straight-through estimator.

Six modes {ste, gc} x {abs, mom, per}; the published baseline is ste with mom. Use it as the baseline that
degree-aware methods must beat. Source: Jacob et al. 2018 (arXiv 1712.05877); modes: Tailor et al. 2021 (2008.05000).
"""

from __future__ import annotations

from dqviz.methods.base import Method, RangeSettings
from dqviz.registry import Entry

ENTRY: Entry[Method] = Entry("qat", "Quantization-aware training, six modes: ste or gc with abs, mom or per ranges.",
                             Method, RangeSettings, cites=("jacob2018", "tailor2021"),
                             facts={"label": "QAT", "quantized": True})  # fmt: skip
