"""Accuracy and flips by in-degree (METHODS.md section 8)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dqviz.analysis.analyse import frame
from dqviz.analysis.bins import degree_bins
from dqviz.analysis.tables import Row
from dqviz.analysis.view import Array

EVERY_SPLIT = "all"
NORMAL_95 = 1.959964


def accuracy_by_degree(nodes: pd.DataFrame) -> pd.DataFrame:
    """TABLES["accuracy"]: one row a split ("all" first) and bin of in-degree.

    Bins hold at least five nodes of that split. A node without a label or prediction (missing or negative) is left
    out. A flip is a predicted class that differs from the twin's. Intervals are Wilson's (1927), which stay wider than
    a point where all nodes of a bin are right; a bootstrap would not. Of many graphs each is one
    trial, however many of its nodes a bin has: they share class and predictions.
    """
    known = nodes[["label", "prediction", "prediction_twin"]].notna().all(axis=1) & (nodes["label"].fillna(-1) >= 0)
    nodes = nodes[known]
    splits = [str(s) for s in nodes["split"].dropna().unique() if str(s) not in {"", "none", EVERY_SPLIT}]
    rows = _rows(EVERY_SPLIT, nodes)
    for split in splits:
        rows += _rows(split, nodes[nodes["split"] == split])
    return frame("accuracy", rows)


def _rows(split: str, nodes: pd.DataFrame) -> list[Row]:
    bins = degree_bins(nodes["degree"].to_numpy(dtype=np.int64))
    right = (nodes["prediction"] == nodes["label"]).to_numpy()
    twin = (nodes["prediction_twin"] == nodes["label"]).to_numpy()
    flip = (nodes["prediction"] != nodes["prediction_twin"]).to_numpy()
    graphs = "graph" in nodes and nodes["graph"].nunique() > 1
    rows: list[Row] = []
    for b in range(len(bins)):
        here = bins.index == b
        trials = nodes["graph"][here].nunique() if graphs else None
        place = (int(bins.lo[b]), int(bins.hi[b]), float(bins.mean[b]), int(bins.count[b]))
        rows.append((split, *place, *wilson(right[here], trials), float(twin[here].mean()),
                     *wilson(flip[here], trials)))  # fmt: skip
    return rows


def wilson(hits: Array, trials: int | None = None) -> tuple[float, float, float]:
    """Share of True and its 95 % interval (Wilson, 1927); NaN for nothing. `trials`: where hits are not independent."""
    n = len(hits) if trials is None else trials
    if not n:
        return np.nan, np.nan, np.nan
    share, z2 = float(np.mean(hits)), NORMAL_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return share, float(min(share, middle - half)), float(max(share, middle + half))
