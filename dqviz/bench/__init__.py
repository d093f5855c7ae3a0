"""Timing protocol and sweeps: sparse and dense products by themselves, and whole networks end to end."""

from dqviz.bench.compare import compared
from dqviz.bench.graphs import GRAPHS
from dqviz.bench.inference import inference, measure
from dqviz.bench.kernels import kernels
from dqviz.bench.protocol import machine
from dqviz.bench.scale import scale

__all__ = ["GRAPHS", "compared", "inference", "kernels", "machine", "measure", "scale"]
