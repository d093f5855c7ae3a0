"""Seeded splits, in numpy. A split never depends on anything but labels, seed and the counts asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dqviz.errors import BadInput

Labels = NDArray[np.integer[Any]]
Masks = dict[str, NDArray[np.bool_]]
Indices = dict[str, NDArray[np.int64]]

PARTS = ("train", "val", "test")
KEEP = -1
"""Value of a split setting that means: draw another split for each run seed."""


def chosen(setting: int, seed: int) -> int:
    """The seed a split is drawn with: the setting, or the run's seed where the setting is -1."""
    return seed if setting == KEEP else setting


def per_class(y: Labels, seed: int, train: int = 20, val: int = 30) -> Masks:
    """`train` and `val` nodes of each class, the rest is test (Shchur et al. 2018 use 20 and 30).

    A class too small for that gives a third of its nodes (at least one) to train and half of what is left to val.
    """
    rng = np.random.default_rng(seed)
    masks = {part: np.zeros(len(y), dtype=np.bool_) for part in PARTS}
    for label in np.unique(y):
        nodes = rng.permutation(np.flatnonzero(y == label))
        to_train = min(train, max(1, len(nodes) // 3))
        to_val = min(val, (len(nodes) - to_train) // 2)
        masks["train"][nodes[:to_train]] = True
        masks["val"][nodes[to_train : to_train + to_val]] = True
        masks["test"][nodes[to_train + to_val :]] = True
    return masks


def planetoid_like(y: Labels, seed: int, train: int = 20, val: int = 500) -> Masks:
    """`train` nodes of each class, then `val` nodes of any class (at most half of the rest), the rest is test.

    The shape of the public Planetoid split (Yang et al. 2016), with all other nodes tested instead of 1,000.
    """
    masks = per_class(y, seed, train, val=0)
    rest = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(masks["test"]))
    picked = rest[: min(val, len(rest) // 2)]
    masks["val"][picked] = True
    masks["test"][picked] = False
    return masks


def folds(y: Labels, fold: int, number: int = 10) -> Indices:
    """Fold `fold` of a stratified cross-validation; validation is the fold before, training the other eight.

    The shuffle's seed, 12345, and the rule are those of the PyG kernel benchmark that Degree-Quant's authors used for
    REDDIT-BINARY (METHODS.md 1.6). Raises BadInput where a class has fewer members than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    names, counts = np.unique(y, return_counts=True)
    if counts.size and counts.min() < number:
        raise BadInput(f"Class {names[counts.argmin()]} has {counts.min()} members, fewer than the {number} folds, so "
                       "that some fold would lack it: choose fewer folds or leave the class out.")  # fmt: skip
    parts = [test for _, test in StratifiedKFold(number, shuffle=True, random_state=12345).split(y, y)]
    fold %= number
    rest = [part for i, part in enumerate(parts) if i not in (fold, (fold - 1) % number)]
    return {"train": np.sort(np.concatenate(rest)), "val": parts[fold - 1], "test": parts[fold]}
