"""One published accuracy: the figure, how it was read, and what its protocol does otherwise."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

UNVERIFIED = "reported (unverified)"
EXCERPT = "reported (excerpt)"
READ = "reported (authors' text, code or logs)"
MARKS = {READ: "S", EXCERPT: "E", UNVERIFIED: "M"}
"""Marks of METHODS.md: S read in source, logs or full text; E in an excerpt; M not read in the paper itself."""

UNKNOWN = float("nan")


class Published(NamedTuple):
    """Mean and standard deviation of accuracy, shares of 1; NaN for what was not told.

    `trap`: why the figure is not to be compared to the digit. `mean_bits`: bits of a feature, where the method
    chooses them, or of a tensor (`bits_of`); `bits` is then the width that the figure stands beside. `fp32`: the
    same source's accuracy at full precision. `rerun`: the authors' code and settings, run by us on the public split
    and selected on validation.
    """

    dataset: str
    arch: str
    method: str
    bits: int
    mean: float
    std: float
    mark: str
    trap: str = ""
    mean_bits: float = UNKNOWN
    fp32: float = UNKNOWN
    rerun: float = UNKNOWN
    rerun_std: float = UNKNOWN
    rerun_seeds: int = 0
    bits_of: Literal["feature", "tensor"] = "feature"

    @property
    def loss(self) -> float:
        """What the source loses against its own full precision; negative where it gains, NaN where it does not say."""
        return self.fp32 - self.mean

    @property
    def note(self) -> str:
        """'1.7 bits a feature; the epoch of the best test accuracy is kept'; '' where nothing is known to differ."""
        bits = f"{self.mean_bits:g} bits a {self.bits_of}" if math.isfinite(self.mean_bits) else ""
        return "; ".join(filter(None, (bits, self.trap)))
