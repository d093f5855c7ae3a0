"""Quantizer: one site of a network. Observes in training, quantizes, leaves protected rows alone, can be recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dqviz.quant.functional import Gradient, QParams, fake_quantize, scale_zero_point, straight
from dqviz.quant.grid import Grid
from dqviz.quant.observers import Observer
from dqviz.quant.passes import Copies, Protected
from dqviz.quant.qtype import QType
from dqviz.quant.sparse import stored, with_values
from dqviz.quant.where import Where

State = Literal["on", "off", "observe", "search"]
Recorder = Callable[["Quantizer", Tensor, Tensor, "Tensor | None"], None]


class Quantizer(nn.Module):
    """Fake quantization of the values that pass one site.

    `state`: "on" quantizes (and observes in training mode); "off" passes values untouched (the twin, or PTQ while it
    trains); "observe" only takes ranges (calibration); "search" is "on" for a site that learns its bits and has not
    settled yet, and for every other site the same as "on". A 32-bit type always passes values untouched.
    `share`: the part of the elements that is quantized in a training step (quantization noise); at evaluation all are.
    `where` and `asked` are set by `quantize()`. `where` is the site's address; its key, such as "1/aggregate", names it
    in every table. `asked` is the bit width that the run asks of this site (32 where the site profile leaves it
    alone); a method may leave a site in float all the same.
    `own_rows`, `own_columns`: rows, or the last axis, have grids of their own (`grid`); `qparams` then only tells what
    they are like on the whole. `only_clipped`: names of own parameters that move only where values are clipped.
    `own_gradient`: values have a gradient that `gradient` does not name. `straight`: it is passed all the same.
    `edges` [2, rows]: both ends of the edge of each row, set before each pass where coefficients of edges are
    quantized. `copies`: how many messages each row stands for, set likewise where rows of nodes are quantized in their
    place.
    """

    own_rows = False
    own_columns = False
    own_levels = False
    only_clipped: frozenset[str] = frozenset()
    own_gradient = False

    def __init__(self, qtype: QType, observer: Observer, gradient: Gradient = "ste") -> None:
        super().__init__()
        self.qtype = qtype
        self.observer = observer
        self.gradient: Gradient = gradient
        self.state: State = "on"
        self.share = 1.0
        self.straight = False
        self.where: Where | None = None
        self.asked = qtype.bits
        self.recorder: Recorder | None = None
        self.edges: Tensor | None = None
        self.copies: Copies | None = None

    def fit(self, channels: int) -> None:
        """Told once, before any value comes, how many columns the site has."""

    @property
    def searches(self) -> bool:
        """Whether a site that learns its bits moves them in this pass."""
        return self.state == "search" and self.training

    def qparams(self) -> QParams:
        """Step and zero point of the range observed so far."""
        return scale_zero_point(*self.observer.range(), self.qtype)

    def grid(self, x: Tensor) -> Grid | None:
        """The levels of values x [rows, ...] of the last pass; None where there is no grid (float, a codebook)."""
        return None if self.qtype.is_float else Grid.of(self.qparams(), self.qtype)

    def mean_bits(self, x: Tensor) -> float:
        """Bits a value takes at this site in evaluation, mean over the rows of x [rows, ...] where they differ.

        Of sparse rows too, however many values each of them stores.
        """
        grid = self.grid(x)
        return float(self.qtype.bits) if grid is None else grid.bits.mean().item()

    def range(self) -> tuple[float, float]:
        """Ends of the range that the step is made of."""
        return self.observer.range()

    def forward(self, x: Tensor, protected: Tensor | None = None, node: Tensor | None = None) -> Tensor:
        """x [rows, ...] dense or CSR -> same shape. `protected` [rows] bool: rows left untouched and unobserved.

        `node` [rows] names the node of each row where that is not the row's own number (for the recorder).
        """
        if x.layout == torch.sparse_csr:
            out = with_values(x, self._values(stored(x), protected, x.crow_indices()))
        else:
            out = self._values(x, protected)
        if self.recorder is not None:
            self.recorder(self, x, out, node)
        return out

    def rectified(self, x: Tensor, protected: Tensor | None = None) -> Tensor:
        """relu(forward(x)), in one pass where this site is an affine one and all its rows are quantized."""
        affine = type(self).fake_quantized is Quantizer.fake_quantized and not self.qtype.is_float
        watched = self.recorder is not None or (self.training and self.share < 1) or self.straight
        if not affine or watched or protected is not None or self.state in ("off", "observe"):
            return F.relu(self(x, protected))
        if self.training:
            self.observe(x, None, None)
        return fake_quantize(x, self.qparams(), self.qtype, self.gradient, rectify=True)

    def _values(self, x: Tensor, rows: Tensor | None, ptr: Tensor | None = None) -> Tensor:
        if self.qtype.is_float or self.state == "off":
            return x
        protected = None if rows is None else Protected(rows, ptr)
        if self.training or self.state == "observe":
            self.observe(x, protected, ptr)
        if self.state == "observe":
            return x
        out = self.fake_quantized(x, protected, ptr)
        if self.straight:
            out = straight(x, out)
        if self.training and self.share < 1:  # the elements that stay in this step are drawn anew each time
            out = torch.where(torch.rand_like(x) >= self.share, x, out)
        return out

    def observe(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> None:
        """Takes the values of one step into the range. `ptr` [rows + 1]: where rows begin when x are those of a CSR."""
        self.observer.observe(x, protected, self.copies_of(ptr))

    def copies_of(self, ptr: Tensor | None) -> Copies | None:
        """`copies`, for values of rows that begin at `ptr`."""
        return self.copies if self.copies is None or ptr is None else self.copies._replace(ptr=ptr)

    def fake_quantized(self, x: Tensor, protected: Protected | None, ptr: Tensor | None) -> Tensor:
        """x^, protected rows as they are."""
        return fake_quantize(x, self.qparams(), self.qtype, self.gradient, protected)

    def extra_repr(self) -> str:
        return f"{self.key}: {self.qtype.bits} bits, {self.gradient}"

    @property
    def key(self) -> str:
        return self.where.key if self.where else ""
