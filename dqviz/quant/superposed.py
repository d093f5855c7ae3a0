"""Levels that a site chooses: sums of powers of two whose terms share out its bits between range and resolution.

A split w_1 >= w_2 >= ... of b bits (w_1 + w_2 + ... = b) makes one term of each width:

    { sum_j p_j },    p_j in {0, 2^-e of its 2^w_j - 1 exponents e}

Exponents 0, 1, 2, ... are dealt out in rounds, one to each term that has not all of its own. No two terms share a
power, so the 2^b sums differ. All widths 1: evenly spaced, the most resolution; one term: powers of two, the widest
range; widths 2: terms of APoT. Of 3 bits: (1, 1, 1) gives 0 ... 7 sevenths, (2, 1) gives 0, 1, 2, 4, 5, 6, 8, 12
twelfths, (3,) gives 0, 1, 2, 4, ... 64 sixty-fourths.

In its first training batches a site adds up the squared error of every split for what it sees, over the squares of
the values, and takes the smallest; ties go to the more even one. Then as `levels.py`. Choose it where sites differ
much: few large values among many small ones here, even ones there.

Source: AUSN (Liu et al. 2020, arXiv 2007.03903), whose abstract and introduction were read: powers of two are
superposed, and bits go to range or resolution by what each tensor needs. How exponents are dealt out and the choice by
squared error are of our own; the paper's scheme of rounding without overflow is not here.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from dqviz.quant.additive import sums_of
from dqviz.quant.levels import LevelQuantizer, nearest
from dqviz.quant.observers import Observer
from dqviz.quant.passes import Protected, shown
from dqviz.quant.qtype import QType

Split = tuple[int, ...]
MOST_POWERS = 15
"""Splits of more are left out: a power below 2^-14 of the range is nothing beside the others."""
BATCHES = 10
"""A site's first batches, in which it chooses."""
SAMPLE = 1 << 16
"""Values of a batch that are tried, evenly picked."""


@lru_cache(maxsize=16)
def splits(bits: int) -> tuple[Split, ...]:
    """Splits of so many bits, the most even levels first."""
    found = [split for split in partitions(bits, bits) if sum((1 << width) - 1 for width in split) <= MOST_POWERS]
    found = found or [(1,) * bits]  # of 16 bits even the most even has more
    return tuple(sorted(found, key=lambda split: (split[0], -len(split), split)))


def partitions(total: int, largest: int) -> list[Split]:
    """Descending whole numbers from 1 to `largest` with this sum."""
    if total == 0:
        return [()]
    firsts = range(1, min(total, largest) + 1)
    return [(first, *rest) for first in firsts for rest in partitions(total - first, first)]


def exponents(split: Split) -> list[list[int]]:
    """Negated exponents of each term's powers, beside 0."""
    terms: list[list[int]] = [[] for _ in split]
    count = 0
    for dealt in range((1 << split[0]) - 1):
        for term, width in zip(terms, split, strict=True):
            if dealt < (1 << width) - 1:
                term.append(count)
                count += 1
    return terms


@lru_cache(maxsize=64)
def sums(split: Split) -> tuple[int, ...]:
    """Ascending sums, as whole numbers of the smallest power."""
    return sums_of(exponents(split))


def most_even(bits: int) -> tuple[int, ...]:
    """The levels of a site that has seen nothing."""
    return sums(splits(bits)[0])


class SuperposedQuantizer(LevelQuantizer):
    """Nearest of the levels that the site has chosen.

    `errors` [splits]: relative squared error so far, `batches` of them; `with_sign`: whether values had a sign then.
    A site whose values turn out to have one later chooses anew, with one bit less. All of it is saved with the model.
    """

    errors: Tensor
    batches: Tensor
    with_sign: Tensor

    def __init__(self, qtype: QType, observer: Observer) -> None:
        super().__init__(qtype, observer, most_even)
        most = 0 if qtype.is_float else max(len(splits(bits)) for bits in (qtype.bits, max(qtype.bits - 1, 1)))
        self.register_buffer("errors", torch.zeros(most, dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("with_sign", torch.zeros((), dtype=torch.bool))

    @property
    def candidates(self) -> tuple[Split, ...]:
        return splits(self.size_bits)

    @property
    def split(self) -> Split:
        """The one chosen so far; the most even one before."""
        found = self.candidates
        if bool(self.with_sign) != self.two_sided:
            return found[0]
        return found[int(self.errors[: len(found)].argmin())]

    def numbers(self) -> tuple[int, ...]:
        return sums(self.split)

    @torch.no_grad()
    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        super().observe(x, protected, ptr)
        if bool(self.with_sign) != self.two_sided:
            self.with_sign.fill_(self.two_sided)
            self.errors.zero_()
            self.batches.zero_()
        if self.batches < BATCHES:
            self.compare(shown(x, protected).flatten())

    def compare(self, values: Tensor) -> None:
        """Adds the error of each split for flat values; a batch of zeros says nothing."""
        picked = values[:: max(1, values.numel() // SAMPLE)].float()
        size = picked.abs() if self.two_sided else picked.clamp(min=0)
        whole = size.square().sum().item()
        if not 0 < whole < float("inf"):
            return
        lo, hi = self.observer.range()
        for at, split in enumerate(self.candidates):
            self.errors[at] += squared_error(size, sums(split), max(-lo, hi)) / whole
        self.batches += 1


def squared_error(size: Tensor, numbers: tuple[int, ...], largest: float) -> float:
    """Of flat values that are not negative, each at the nearest level, `largest` being the last one."""
    step = largest / numbers[-1]
    return 0.0 if step == 0 else (nearest(size / step, numbers) * step - size).square().sum().item()
