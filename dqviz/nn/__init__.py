"""Architectures: stacks of STOCK torch_geometric layers that know nothing of quantization. `ARCHS` is the registry."""

from dqviz.nn import appnp, gat, gcn, gin, sage, smp
from dqviz.nn.stack import ARCHS, Stack, make

__all__ = ["ARCHS", "Stack", "make"]

for _module in (gcn, gin, gat, sage, appnp, smp):
    ARCHS.add(_module.ENTRY)
