"""How far quantization turns the part of a weight gradient that comes from nodes of one in-degree.

A linear layer Y = X W^T has dL/dW = sum over nodes v of dy_v x_v^T, with dy_v the gradient of the loss at row v of Y.
So the nodes of a group G contribute g_G = dY_G^T X_G, and the groups' contributions add up to the gradient that the
optimizer gets. Each is compared with the one of the twin (the same weights, all quantizers off; METHODS.md 8):

    cosine = <g, g_twin> / (||g|| ||g_twin||),   error = ||g - g_twin|| / ||g_twin||,   norm = ||g|| / ||g_twin||
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from dqviz.analysis.analyse import frame
from dqviz.analysis.bins import Bins, degree_bins
from dqviz.analysis.tables import Row
from dqviz.analysis.view import Array, Floats


@dataclass(frozen=True)
class WeightGradient:
    """What the weight gradient of one linear layer is made of in one pass.

    `where`: key, layer, part and kind of the site of its weights. `x` [num_nodes, in] rows that enter the product,
    dense or scipy CSR; `dy` [num_nodes, out] gradient of the summed loss at its rows; `passed` [out, in] is 0 where the
    weights' own quantizer stops the gradient, else 1.
    """

    where: tuple[str, int, str, str]
    x: Any
    dy: Array
    passed: Array

    def of_bins(self, bins: Bins) -> Iterator[Array]:
        """[out, in] for each bin of in-degree: passed * sum of dy_v x_v^T over its nodes."""
        for nodes in np.split(np.argsort(bins.index, kind="stable"), np.cumsum(bins.count)[:-1]):
            yield self.passed * np.asarray(self.x[nodes].T @ self.dy[nodes]).T


Pass = Sequence[WeightGradient]
OWN: Literal["own"] = "own"
STRAIGHT: Literal["ste"] = "ste"
"""Backward rules: the one the method trains with, and straight through for every method (METHODS.md 1.2)."""


def gradient_table(degree: Array, twin: Pass, passes: Mapping[str, Iterable[Pass]]) -> pd.DataFrame:
    """TABLES["gradients"]: a row a backward rule, linear layer and bin of in-degree.

    `passes`: rule -> quantized passes, whose comparisons with `twin` are averaged; each has the layers of `twin` in its
    order. `degree` [num_nodes]. NaN where the twin's nodes contribute nothing (they are out of reach of every node
    whose loss counts).
    """
    bins = degree_bins(degree)
    references = [list(layer.of_bins(bins)) for layer in twin]
    rows = [row for rule, found in passes.items() for row in _rows(rule, bins, twin, references, found)]
    return frame("gradients", rows)


def _rows(
    rule: str, bins: Bins, twin: Pass, references: Sequence[Sequence[Array]], passes: Iterable[Pass]
) -> list[Row]:
    drawn = [[_against(layer.of_bins(bins), reference) for layer, reference in zip(one, references, strict=True)]
             for one in passes]  # fmt: skip
    rows: list[Row] = []
    for at, layer in enumerate(twin):
        measures = _mean([one[at] for one in drawn])
        rows += [(rule, *layer.where, int(bins.lo[b]), int(bins.hi[b]), float(bins.mean[b]), int(bins.count[b]),
                  *map(float, measures[b])) for b in range(len(bins))]  # fmt: skip
    return rows


def _against(found: Iterable[Array], reference: Sequence[Array]) -> Floats:
    """[bins, 3]: cosine, relative error and relative norm of each bin's contribution."""
    return np.array([compared(g, r) for g, r in zip(found, reference, strict=True)])


def compared(gradient: Array, reference: Array) -> tuple[float, float, float]:
    """Cosine, relative error and relative norm; NaN where a length that divides is zero."""
    g, r = (part.astype(np.float64).ravel() for part in (gradient, reference))
    size, full = float(np.sqrt(g @ g)), float(np.sqrt(r @ r))
    if full == 0:
        return np.nan, np.nan, np.nan
    cosine = float(np.clip(g @ r / (size * full), -1, 1)) if size > 0 else np.nan
    return cosine, float(np.sqrt(((g - r) ** 2).sum())) / full, size / full


def _mean(passes: Sequence[Floats]) -> Floats:
    """Mean over passes, NaN left out, NaN where every pass is."""
    values = np.stack(passes)
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan))
