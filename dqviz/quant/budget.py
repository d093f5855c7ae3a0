"""Bits for groups of values under a budget of mean bits: always the step that removes most error for its bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SLACK = 1e-9


def allot(errors: Floats, values: Floats, widths: Sequence[int], budget: float) -> list[int]:
    """Bits of each group: `errors` [groups, widths] at the ascending `widths`, `values` [groups] how many there are.

    All begin at the least width. Then, as long as one fits into `budget` mean bits, the step of one group to a larger
    width is taken whose error falls most for each bit it adds; ties go to the first group. Steps that help nothing
    are not taken. Groups without values stay at the least.
    """
    bits = np.asarray(widths, np.float64)
    chosen = np.zeros(len(values), np.int64)
    left = (budget - bits[0]) * values.sum()
    while True:
        cost = values[:, None] * (bits[None, :] - bits[chosen][:, None])
        gain = errors[np.arange(len(values)), chosen][:, None] - errors
        fits = (cost > 0) & (cost <= left * (1 + SLACK)) & (gain > 0)
        if not fits.any():
            return [widths[place] for place in chosen.tolist()]
        worth = np.where(fits, gain / np.where(fits, cost, 1.0), -np.inf)
        group, place = np.unravel_index(int(worth.argmax()), worth.shape)
        left -= cost[group, place]
        chosen[group] = place
