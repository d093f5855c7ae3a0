"""What one quantizer saw in one evaluation pass: the only input of the analyses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

FULL_PRECISION = 32
"""From this bit width on a site is untouched: there is no grid, and every local error is zero."""


@dataclass(frozen=True)
class OwnGrids:
    """Grids of rows or channels at a site that has more than one: each array is [1, 1], [rows, 1] or [1, channels].

    `lo` and `hi` are the ends of the representable range, `scale` the step, `bits` the bits a value.
    """

    lo: Floats
    hi: Floats
    scale: Floats
    bits: Floats

    def rows(self, rows: slice) -> OwnGrids:
        """Those of some rows."""
        return OwnGrids(*(part[rows] if len(part) > 1 else part for part in (self.lo, self.hi, self.scale, self.bits)))


@dataclass(frozen=True)
class SiteView:
    """Values before and after one quantizer.

    `x`, `xq` and `reference` are [rows, channels] (further axes are folded into channels). `lo` and `hi` are the ends
    of the representable range, (qmin - z) s and (qmax - z) s. `reference` is the twin's value at this site. `node`
    holds the node of each row (for a message its target node); None means row i is node i. `per_node` is False for
    weights, edge coefficients and attention vectors, which belong to no node.

    Where rows or channels have grids of their own, `own` holds them; `bits` is then the widest below 32, `lo` and `hi`
    their outermost ends, `scale` the root mean square of their steps. `uneven`: levels are no whole steps apart (powers
    of two, say); `scale` is then the finest of their distances.

    `often` [rows]: how many values each of a row's stands for, where nodes are quantized once for all messages they
    send (GIN, SAGE); sums, shares and distributions are of messages, as where every edge is quantized.
    """

    key: str
    layer: int
    part: str
    site: str
    order: int
    bits: int
    signed: bool
    lo: float
    hi: float
    scale: float
    zero_point: float
    x: Array
    xq: Array
    reference: Array | None = None
    node: Array | None = None
    per_node: bool = True
    own: OwnGrids | None = None
    uneven: bool = False
    often: Ints | None = None

    @property
    def quantized(self) -> bool:
        """Whether values are changed here, on a grid or by a codebook (which has no step)."""
        return self.bits < FULL_PRECISION

    @property
    def levels(self) -> int:
        """Number of levels of the one grid, 2**bits; 0 for an untouched site, for grids of rows or channels, and for
        levels that are not evenly spaced."""
        return 2**self.bits if self.quantized and self.own is None and self.scale > 0 and not self.uneven else 0

    @property
    def where(self) -> tuple[str, int, str, str]:
        """Key, layer, part and kind of site: the first columns of every table."""
        return self.key, self.layer, self.part, self.site


def as_matrix(values: Array) -> Array:
    """[rows, ...] -> [rows, channels] without a copy; a vector is one channel."""
    return values.reshape(values.shape[0], -1) if values.size else values.reshape(values.shape[0], 0)
