"""Propagation (APPNP, SMP): an MLP in integers, then sums of codes weighted by quantized coefficients, step by step.

A step M = around A^ H + start H^0 is one exact integer sum and an epilogue of two multipliers; SMP's second sum reads
codes of M - H, which two codes give by an epilogue as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dqviz.errors import Unavailable
from dqviz.integer.blend import Blend, Real
from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.epilogue import Dequantize, Requantize
from dqviz.integer.lower.base import End, product
from dqviz.integer.ops import Gemm, Op, Quantize, Spmm
from dqviz.quant.quantizer import Quantizer


@dataclass(frozen=True)
class Rows:
    """A value of the frame that holds codes, and their grid."""

    name: str
    grid: Grid


def lower_propagation(model: Any, arch: str) -> list[Op]:
    """All operations of a quantized propagation.

    Raises Unavailable where a step keeps some of its own rows (mu and eta chosen otherwise): that is a third addend.
    """
    ops, start = lower_mlp(model, arch)
    rows, convs, channels = start, list(model.convs), model.classes.out_channels
    for index in range(model.depth):
        step, name = model.step(index), f"{arch}/{index}"
        if step.kept:
            raise Unavailable("No integer run: a step adds three terms where (1 + mu) eta is not 1.")
        moved = weighted(ops, f"{name}/spread", convs.pop(0), rows, step.around, start, step.start)
        if step.change is None:
            rows = moved
            continue
        conv = convs.pop(0)
        change = Rows(f"{name}/change", grid_of(changing(conv)))
        ops.append(blend(change.name, moved, 1.0, rows, -1.0, change, channels))
        rows = weighted(ops, f"{name}/bound", conv, change, step.change, moved, 1.0)
    reals = Dequantize(np.full(channels, rows.grid.scale), np.zeros(channels))
    return [*ops, Real(f"{arch}/logits", rows.name, "logits", reals)]


def lower_mlp(model: Any, arch: str) -> tuple[list[Op], Rows]:
    """Features to codes of H^0."""
    entry, between, out = (grid_of(q) for q in (model.hidden.input_q, model.classes.input_q, model.classes.feature_q))
    first, hidden = product(model.hidden, entry)
    second, classes = product(model.classes, between)
    names = [f"{arch}/{part}" for part in ("in", "hidden", "start")]
    ops: list[Op] = [
        Quantize(f"{arch}/quantize", "x", names[0], entry),
        Gemm(f"{arch}/mlp1", names[0], names[1], first, hidden.epilogue(End(between, "relu"))),
        Gemm(f"{arch}/mlp2", names[1], names[2], second, classes.epilogue(End(out))),
    ]
    return ops, Rows(names[2], out)


def weighted(ops: list[Op], name: str, conv: Any, rows: Rows, around: float, rest: Rows, share: float) -> Rows:
    """around A^ rows + share rest, to codes of the layer's UPDATE; adds the operations and returns what they write."""
    norm, out = grid_of(conv.sites.norm), Rows(f"{name}/out", grid_of(conv.sites.update))
    sums = f"{name}/sums"
    ops.append(Spmm(f"{name}/spmm", rows.name, sums, norm, improved=False, add_self_loops=True, epilogue=None))
    ops.append(blend(f"{name}/update", Rows(sums, rows.grid), around * norm.scale, rest, share, out, conv.channels))
    return out


def changing(conv: Any) -> Quantizer:
    """The quantizer of what a step changes. Raises Unavailable in profile `paper`, which has none there."""
    found: Quantizer | None = conv.sites.feature
    if found is None:
        raise Unavailable("No integer run: what a step changes is only quantized in profile 'integer'.")
    return found


def blend(name: str, first: Rows, by: float, second: Rows, also: float, out: Rows, channels: int) -> Blend:
    """by first + also second in the codes of `out`."""
    steps = by * first.grid.scale * out.grid.inverse, also * second.grid.scale * out.grid.inverse
    one, other = (np.full(channels, step) for step in steps)
    epilogue = Requantize(one, np.zeros(channels), False, out.grid, also=other)
    return Blend(name, first.name, out.name, second.name, epilogue)
