"""Sites that learn how many bits they take: a softmax over bit widths (MixQ).

    searching:   x^ = sum_b w_b Q_b(x),    w = softmax(theta)         the relaxed choice, trained with the weights
    afterwards:  x^ = Q_b(x),              b the width of the largest theta

Q_b is the affine quantizer of b bits (`dqviz/quant/functional.py`) on a range of its own: a percentile depends on b.
Gradients: dx^/dx = sum_b w_b (that of Q_b, ste or gc), dx^/dtheta_b = w_b (Q_b(x) - x^); what a site weighs while it
searches is its expected bits sum_b w_b b. In evaluation, and when the search is over, a site is one plain affine grid,
so that it runs in integer arithmetic as any other.

`by_error`: theta follows the site's own error in place of the loss, the expected sum_b w_b e_b of

    e_b = ||Q_b(x) - x||^2 / ||x||^2                                  over the pass, protected rows counting as exact

because where few nodes are labelled (140 of Cora's 2708) a network fits them at any width, and the loss does not tell
the widths apart; A2Q lets its bits follow a local error for the same reason (arXiv 2302.00193). This is not in the
MixQ paper.

theta starts at softmax(softmax(bits)), which all but leaves the widths alike and puts the widest first, as in the
authors' code. `fractional.py` learns a real number of bits instead.
Source: Moustafa, Kriege, Gansterer, ICDE 2025 (arXiv 2505.09361), and the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dqviz.quant.functional import Gradient, QParams, fake_quantize, scale_zero_point
from dqviz.quant.observers import Observer
from dqviz.quant.passes import Protected
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer

WIDTHS = (2, 4, 8)
"""The published ones: those that fill a byte."""


def widths_of(most: int) -> tuple[int, ...]:
    """What a site may choose among, ascending: published widths below `most`, and `most`."""
    return (*(bits for bits in WIDTHS if bits < most), most)


class MixedQuantizer(Quantizer):
    """A site of several widths. `theta` [widths]; of the last pass of the search `values`, how many there were, and,
    where theta follows them, `errors` [widths].

    `qtype`, `qparams` and all that follows from them are those of the width of the largest theta. `observer` is that
    of the widest, `narrower` holds those of the others.
    """

    def __init__(
        self, widths: tuple[int, ...], signed: bool, observer: Callable[[int], Observer], gradient: Gradient,
        by_error: bool = False,
    ) -> None:  # fmt: skip
        self.qtypes = tuple(QType(bits, signed) for bits in widths)
        super().__init__(self.qtypes[-1], observer(widths[-1]), gradient)
        self.narrower = nn.ModuleList(observer(bits) for bits in widths[:-1])
        self.theta = nn.Parameter(torch.tensor(widths).float().softmax(0).softmax(0))
        self.by_error = by_error
        self.values = 0
        self.errors = torch.zeros(len(widths))

    @property
    def chosen(self) -> int:
        """Place of the largest theta."""
        return int(self.theta.detach().argmax())

    @property
    def qtype(self) -> QType:
        """Of the chosen width; before theta is there, of the widest."""
        return self.qtypes[self.chosen if "theta" in self._parameters else -1]

    @qtype.setter
    def qtype(self, qtype: QType) -> None:
        """Set by the base class only: to the widest."""

    @property
    def observers(self) -> list[Observer]:
        """One a width, ascending."""
        return [*self.narrower, self.observer]

    def qparams(self) -> QParams:
        return scale_zero_point(*self.range(), self.qtype)

    def range(self) -> tuple[float, float]:
        return self.observers[self.chosen].range()

    def expected_bits(self) -> Tensor:
        """sum_b softmax(theta)_b b, 0-dimensional."""
        return (self.theta.softmax(0) * torch.tensor([float(one.bits) for one in self.qtypes])).sum()

    def expected_error(self) -> Tensor:
        """sum_b softmax(theta)_b e_b of the last pass, 0-dimensional."""
        return (self.theta.softmax(0) * self.errors).sum()

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """When the search is over, the chosen width alone."""
        observers = self.observers
        for observer in observers if self.state != "on" else [observers[self.chosen]]:
            observer.observe(x, protected, self.copies_of(ptr))

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        if not self.searches:
            return super().fake_quantized(x, protected, ptr)
        self.values = x.numel()
        parts = [
            fake_quantize(x, scale_zero_point(*observer.range(), qtype), qtype, self.gradient, protected)
            for qtype, observer in zip(self.qtypes, self.observers, strict=True)
        ]
        shares = self.theta.softmax(0)
        if self.by_error:
            self.errors, shares = relative_errors(x, parts), shares.detach()
        out = sum((share * part for share, part in zip(shares[1:], parts[1:], strict=True)), shares[0] * parts[0])
        # shares add up to 1 only nearly; a protected value is the untouched value
        return out if protected is None else torch.where(protected.mask(x), x, out)


@torch.no_grad()
def relative_errors(x: Tensor, parts: list[Tensor]) -> Tensor:
    """||part - x||^2 / ||x||^2 of each part [parts]; 0 where x is 0 throughout."""
    energy = x.square().sum().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.stack([(part - x).square().sum() / energy for part in parts])
