"""Prints what two training steps of SMP in INT4 need beside the graph, in bytes: NODES."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from dqviz import methods
from dqviz import nn as archs
from dqviz.quant import quantize
from dqviz.runs.memory import peak_bytes

FEATURES, CLASSES, DEGREE, STEPS = 32, 5, 7, 2


def peak(num_nodes: int, number: int) -> int:
    torch.manual_seed(0)
    edges, x = torch.randint(num_nodes, (2, num_nodes * DEGREE)), torch.rand(num_nodes, FEATURES)
    classes = torch.randint(CLASSES, (num_nodes,))
    method = methods.make("qlr", {})
    method.scene.show(num_nodes, edges)
    model = quantize(archs.make("smp", FEATURES, CLASSES, "node", {"layers": 4}), method, 4).train()
    before = resident_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    adam = torch.optim.Adam(model.parameters())
    for _ in range(number):
        adam.zero_grad()
        F.cross_entropy(model(x, edges), classes).backward()
        adam.step()
    return peak_bytes() - before


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    torch.set_num_threads(1)
    peak(500, 1)  # what a first step loads is no memory of the graph's
    print(peak(int(sys.argv[1]), STEPS))
