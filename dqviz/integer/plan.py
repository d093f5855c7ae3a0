"""plan(model): a trained, quantized model as a frozen list of integer operations (site profile `integer`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dqviz.errors import Unavailable
from dqviz.integer.codes import Grid, grid_of
from dqviz.integer.epilogue import Requantize
from dqviz.integer.lower import Affine, End, Lowered, kind_of, product
from dqviz.integer.ops import Gemm, Op, Pool, Quantize
from dqviz.quant import QuantLinear, quantizers


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
                "float": float_part(op),
            }
            for op in self.ops
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know to read the result."""
        if not self.skipped:
            return ()
        return (f"The integer program leaves out the sites {', '.join(self.skipped)}: messages stay in int32.",)

    @property
    def size_bytes(self) -> int:
        """Bytes of all weights as they are held."""
        return sum(op.weight.codes.nbytes for op in self.ops if isinstance(op, Gemm))


def float_part(op: Op) -> str:
    return "nothing: sums stay integers" if getattr(op, "epilogue", "") is None else op.float_part


def plan(model: Any) -> Plan:
    """The integer program of a stack of GCN or GIN layers that `quantize` has changed, in either site profile.

    Weights are quantized here once. Raises Unavailable, in one sentence, for a model without quantizers, a layer or an
    activation that has no integer form, or a site of more than 8 bits.
    """
    convs: Sequence[nn.Module] = list(getattr(model, "convs", []))
    head: QuantLinear | None = getattr(model, "head", None)
    check(model, convs)
    with torch.no_grad():
        arch = kind_of(convs[0]).arch
        doors = [grid_of(kind_of(conv).door(conv)) for conv in convs]
        ops: list[Op] = [Quantize(f"{arch}/quantize", "x", f"{arch}/0/in", doors[0])]
        for layer, conv in enumerate(convs):
            lowered = lower_layer(arch, layer, conv, doors, head)
            ops += lowered.ops
        if head is not None:
            ops += lower_head(arch, head, lowered.affine, len(convs))
    return Plan(arch, linked(ops, arch, len(convs)), skipped_sites(model, ops))


def check(model: Any, convs: Sequence[nn.Module]) -> None:
    if not convs or not any(True for _ in quantizers(model)):
        raise Unavailable("No integer run: the model is not a stack of layers with quantizers.")
    for conv in convs:
        kind_of(conv)
    if getattr(model, "activation", F.relu) is not F.relu and (len(convs) > 1 or model.head is not None):
        raise Unavailable(f"No integer run: the activation {model.activation.__name__} is not ReLU.")


def lower_layer(arch: str, layer: int, conv: nn.Module, doors: Sequence[Grid], head: object) -> Lowered:
    """A layer ends at the door of the next one, in sums for the pool, or in logits."""
    last = layer == len(doors) - 1
    end = End(raw=head is not None) if last else End(doors[layer + 1], relu=True)
    return kind_of(conv).lower(conv, f"{arch}/{layer}", doors[layer], end)


def lower_head(arch: str, head: QuantLinear, sums: Affine, num_layers: int) -> list[Op]:
    """Mean over each graph, to codes of the classifier's INPUT, then the classifier."""
    grid = grid_of(head.input_q)
    multiplier = sums.scale * grid.inverse
    bias = np.rint(sums.offset / sums.scale).astype(np.int64)
    requantize = Requantize(multiplier, np.zeros_like(multiplier), False, grid)
    weight, affine = product(head, grid)
    name = f"{arch}/{num_layers - 1}"
    return [
        Pool(f"{arch}/pool", f"{name}/out", f"{arch}/head/in", bias, True, requantize),
        Gemm(f"{arch}/head", f"{arch}/head/in", "logits", weight, affine.epilogue(End())),
    ]


def linked(ops: Sequence[Op], arch: str, num_layers: int) -> tuple[Op, ...]:
    """What a layer writes is what the next one reads; the last value is 'logits'."""
    reads = {f"{arch}/{layer}/out": f"{arch}/{layer + 1}/in" for layer in range(num_layers - 1)}
    if ops[-1].target != "logits":
        reads[ops[-1].target] = "logits"
    return tuple(replace(op, target=reads.get(op.target, op.target)) for op in ops)


def skipped_sites(model: nn.Module, ops: Sequence[Op]) -> tuple[str, ...]:
    """Quantized sites that are not part of the program, by key."""
    used = {grid.key for op in ops for grid in grids(op)}
    return tuple(q.key for q in quantizers(model) if not q.qtype.is_float and q.key not in used)


def grids(op: Op) -> list[Grid]:
    """Every grid an operation reads or writes by itself."""
    found = [op.out, getattr(op, "norm", None), op.weight.params if isinstance(op, Gemm) else None]
    return [grid for grid in found if grid is not None]
