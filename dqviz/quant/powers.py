"""Levels that are powers of two: fine beside 0, coarse at the end of the range.

    {0, 2^-(n-1), ..., 1/2, 1},    n = 2^b - 1 for b bits without a sign

so that a product is a shift. More bits only add levels beside 0 (at 4 bits with a sign they go down to 1/64 of the
range), which is why additive powers exist (`additive.py`). Values take the nearest level; Miyashita et al. round the
exponent, which moves the border between 1/2 and 1 from 3/4 to 0.71. Source: Miyashita et al. 2016 (arXiv 1603.01025);
with a sign as in Li et al., ICLR 2020 (arXiv 1909.13144), section 2, of which we drop the two smallest: they have one
code more than 2^b.
"""

from __future__ import annotations

MOST = 24
"""Powers at most: beside a value of 1, float32 sums do not see those below 2^-24."""


def powers(bits: int) -> tuple[int, ...]:
    """0 and powers of two, ascending, as whole numbers of the smallest."""
    return (0, *(1 << power for power in range(min((1 << bits) - 1, MOST))))
