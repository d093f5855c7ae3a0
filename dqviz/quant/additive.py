"""Levels that are sums of powers of two: nearly even at few terms, so that range and resolution go together.

    { sum_i p_i },    p_i in {0, 2^-i, 2^-(i+n), 2^-(i+2n)},  i = 0 ... n-1        n = b/2 terms of 2 bits each

and the same divided by the largest sum. An odd bit adds a term {0, 2^-2n}, the third power of each p_i then moving down
by one: with a sign at 4 bits (3 for the size) the levels are 0, 1, 2, 3, 4, 6, 8, 10 tenths. Products are n shifts and
additions. Source: Li, Dong, Wang, ICLR 2020 (APoT, arXiv 1909.13144), section 2; odd bits as in the authors' code. The
threshold is observed here, learned there. Every tensor has terms of 2 bits; in `superposed.py` each chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product


@lru_cache(maxsize=32)
def additive(bits: int) -> tuple[int, ...]:
    """Ascending sums, as whole numbers of the smallest power."""
    return sums_of(exponents(bits))


def sums_of(terms: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Ascending sums of 0 or one power a term, of negated exponents, as whole numbers of the smallest power."""
    finest = max((exponent for term in terms for exponent in term), default=0)
    choices = [(0, *(1 << (finest - exponent) for exponent in term)) for term in terms]
    return tuple(sorted({sum(chosen) for chosen in product(*choices)}))


def exponents(bits: int) -> list[tuple[int, ...]]:
    """Negated exponents of each term's powers, beside 0."""
    count, odd = divmod(bits, 2)
    pairs: list[tuple[int, ...]] = [(i, i + count, i + 2 * count + odd) for i in range(count)]
    return [*pairs, (2 * count,)] if odd else pairs
