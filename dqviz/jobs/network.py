"""From a spec to the quantized network it describes, and back from a finished run's folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dqviz import data, methods, quant
from dqviz import nn as archs
from dqviz.data.task import Task
from dqviz.methods import Method
from dqviz.quant import QuantLinear
from dqviz.spec import RunSpec


@dataclass(frozen=True)
class Network:
    """A task, the method, and the model with the method's quantizers in it."""

    task: Task
    method: Method
    model: nn.Module


def load_task(spec: RunSpec) -> Task:
    """The spec's data set; the training seed draws a random split only where the split's own seed is -1."""
    return data.load(spec.dataset, dict(spec.dataset_settings), spec.seed)


def build(spec: RunSpec, task: Task | None = None) -> Network:
    """A fresh network; the seed decides its first weights. Raises BadInput for what the registries do not know."""
    task = task or load_task(spec)
    method = methods.make(spec.method, spec.method_settings)
    if task.kind == "node":
        graph = task.graphs[0]
        method.scene.show(graph.x.size(0), graph.edge_index)
    torch.manual_seed(spec.seed)
    stack = archs.make(spec.arch, task.num_features, task.num_classes, task.kind, spec.arch_settings)
    return Network(task, method, quant.quantize(stack, method, spec.bits, spec.profile))


def save(model: nn.Module, path: Path) -> None:
    save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()}, path)


def restore(spec: RunSpec, folder: Path, task: Task | None = None) -> Network:
    """The trained network of a finished run, in evaluation mode."""
    network = build(spec, task)
    network.model.load_state_dict(load_file(folder / "model.safetensors"))
    network.model.eval()
    return network


def size_bytes(model: nn.Module) -> int:
    """Bytes of all parameters, weights of linear layers at their bits, the rest (biases, attention) in float32."""
    packed = {id(m.weight): m.weight_q.mean_bits(m.weight) for m in model.modules() if isinstance(m, QuantLinear)}
    return sum(math.ceil(p.numel() * packed.get(id(p), 32) / 8) for p in model.parameters())
