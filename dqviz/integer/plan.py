"""plan(model): a trained, quantized model as a frozen list of integer operations (site profile `integer`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import APPNP

from dqviz.errors import Unavailable
from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.columns import column_grid
from dqviz.integer.epilogue import Requantize, elu_thresholds
from dqviz.integer.lower import Activation, Affine, End, kind_of, product
from dqviz.integer.lower.propagation import lower_propagation
from dqviz.integer.ops import Gemm, Op, Quantize
from dqviz.integer.pools import FRACTION, FixedPool, Pool
from dqviz.integer.rows import Rescale, SumRescale
from dqviz.integer.steps import NodeSteps, ReachSteps, RowGrids, entry_steps, inner_grid
from dqviz.quant import QuantLinear, quantizers
from dqviz.quant.codebook import Codebook
from dqviz.quant.nodewise import ReachRows

PROPAGATION = "propagation"
FIXED_STEPS, FINEST = 1024, 2.0**-20
"""Fixed-point steps of a pool in one step of the classifier's input; the finest one with ELU (4 MB of thresholds)."""


@dataclass(frozen=True)
class Plan:
    """`ops` in order; values 'x' in, 'logits' out. `skipped`: quantized sites of the model that no operation uses."""

    arch: str
    ops: tuple[Op, ...]
    skipped: tuple[str, ...]

    def describe(self) -> list[dict[str, Any]]:
        """A row an operation: name, kind, bits and key of the site it writes, and which part of it is float."""
        return [
            {
                "op": op.name,
                "kind": op.kind,
                "writes": "" if op.out is None else op.out.key,
                "bits": None if op.out is None else op.out.bits,
                "float": op.float_part,
            }
            for op in self.ops
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know to read the result."""
        found = []
        if self.skipped:
            found = [f"The integer program leaves out the sites {', '.join(self.skipped)}: messages stay in int32."]
        by_row = [op.grid for op in self.ops if isinstance(op, Rescale | SumRescale)]
        if by_row:
            keys = ", ".join(f"{grid.key} ({grid.bits})" for grid in by_row)
            found.append(f"Rows have bits of their own at {keys}; the run holds all of them at the widest row's bits.")
        return tuple(found)

    @property
    def size_bytes(self) -> int:
        """Bytes of all weights as they are held."""
        return sum(weight.codes.nbytes for op in self.ops for weight in op.weights)


def plan(model: Any) -> Plan:
    """The integer program of layers that `quantize` has changed (GCN, GIN, SAGE, APPNP; GAT, SMP in profile `integer`).

    Weights are quantized here once. Raises Unavailable, in one sentence, for a model without quantizers, a layer or an
    activation that has no integer form, or a site of more than 8 bits.
    """
    convs: Sequence[nn.Module] = list(getattr(model, "convs", []))
    head: QuantLinear | None = getattr(model, "head", None)
    check(model, convs)
    if propagates(convs):
        with torch.no_grad():
            program = lower_propagation(model, PROPAGATION)
        return Plan(PROPAGATION, tuple(program), skipped_sites(model, program))
    with torch.no_grad():
        arch, activation = kind_of(convs[0]).arch, activation_of(model)
        first, steps = entry(convs[0])
        inner = [door_of(conv) for conv in convs[1:]]
        doors = [first, *(grid for grid, _ in inner)]
        ends = [End(grid, activation, rows=rows) for grid, rows in inner] + [last_end(convs[-1], activation, head)]
        ops: list[Op] = [Quantize(f"{arch}/quantize", "x", f"{arch}/0/in", first, steps)]
        for layer, (conv, door, end) in enumerate(zip(convs, doors, ends, strict=True)):
            lowered = kind_of(conv).lower(conv, f"{arch}/{layer}", door, end)
            ops += lowered.ops
        if head is not None:
            ops += lower_head(arch, head, lowered.affine, ends[-1], activation, f"{arch}/{len(convs) - 1}/out")
    return Plan(arch, linked(ops, arch, len(convs)), skipped_sites(model, ops))


def entry(conv: nn.Module) -> tuple[Grid, NodeSteps | ReachSteps | None]:
    """The grid of the features that enter the network, and the steps of their rows where they have their own."""
    kind = kind_of(conv)
    quantizer = kind.door(conv)
    if kind.scales or (kind.sums and isinstance(quantizer, ReachRows)):
        return entry_steps(quantizer)
    return grid_of(quantizer), None


def door_of(conv: nn.Module) -> tuple[Grid, RowGrids | None]:
    """The grid of what enters a further layer, and the grids of its rows where they have their own."""
    kind = kind_of(conv)
    quantizer = kind.door(conv)
    if kind.sums:
        return column_grid(quantizer), None
    return inner_grid(quantizer) if kind.scales else (grid_of(quantizer), None)


def check(model: Any, convs: Sequence[nn.Module]) -> None:
    if not convs or not any(True for _ in quantizers(model)):
        raise Unavailable("No integer run: the model is not a stack of layers with quantizers.")
    if any(isinstance(q, Codebook) for q in quantizers(model)):
        raise Unavailable("No integer run: messages are codewords, which lie on no grid of integers.")
    if isinstance(getattr(model, "head", None), nn.Sequential):
        raise Unavailable("No integer run: the classifier has a hidden layer, for which there is no integer form.")
    if not propagates(convs):
        for conv in convs:
            kind_of(conv)


def propagates(convs: Sequence[nn.Module]) -> bool:
    """Whether the layers are the steps of a propagation, which learn nothing."""
    return all(isinstance(conv, APPNP) for conv in convs)


def activation_of(model: Any) -> Activation:
    """Of a stack of one layer without a head none is used."""
    found = getattr(model, "activation", F.relu)
    if found is F.relu or (len(model.convs) == 1 and model.head is None):
        return "relu"
    if found is F.elu:
        return "elu"
    raise Unavailable(f"No integer run: the activation {found.__name__} is neither ReLU nor ELU.")


def last_end(conv: nn.Module, activation: Activation, head: QuantLinear | None) -> End:
    """The last layer ends in logits; before a pool in integer sums where they can be added, else in fixed point."""
    if head is None:
        return End()
    if kind_of(conv).summable(conv) and activation == "relu":
        return End(raw=True)
    unit = grid_of(head.input_q).scale / FIXED_STEPS
    return End(unit=max(unit, FINEST) if activation == "elu" else unit)


def lower_head(arch: str, head: QuantLinear, sums: Affine, end: End, activation: Activation, source: str) -> list[Op]:
    """Mean over each graph, to codes of the classifier's INPUT, then the classifier."""
    grid = grid_of(head.input_q)
    weight, affine = product(head, grid)
    places = f"{arch}/pool", source, f"{arch}/head/in"
    pool: Op
    if end.raw:
        multiplier = sums.scale * grid.inverse / FRACTION
        bias = np.rint(sums.offset / sums.scale * FRACTION).astype(np.int64)
        pool = Pool(*places, bias, True, Requantize(multiplier, np.zeros_like(multiplier), False, grid))
    else:
        multiplier = np.full(len(sums.scale), end.unit * grid.inverse)
        thresholds = elu_thresholds(1 / end.unit, int(1 / FINEST)) if activation == "elu" else None
        pool = FixedPool(*places, thresholds, Requantize(multiplier, np.zeros_like(multiplier), False, grid))
    return [pool, Gemm(f"{arch}/head", f"{arch}/head/in", "logits", weight, affine.epilogue(End()))]


def linked(ops: Sequence[Op], arch: str, num_layers: int) -> tuple[Op, ...]:
    """What a layer writes is what the next one reads; the last value is 'logits'."""
    reads = {f"{arch}/{layer}/out": f"{arch}/{layer + 1}/in" for layer in range(num_layers - 1)}
    if ops[-1].target != "logits":
        reads[ops[-1].target] = "logits"
    return tuple(replace(op, target=reads.get(op.target, op.target)) for op in ops)


def skipped_sites(model: nn.Module, ops: Sequence[Op]) -> tuple[str, ...]:
    """Quantized sites that are not part of the program, by key."""
    used = {grid.key for op in ops for grid in op.sites}
    return tuple(q.key for q in quantizers(model) if not q.qtype.is_float and q.key not in used)
