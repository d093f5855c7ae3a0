"""Quantization methods: one a file. `METHODS` is the registry; a new method is its file and one line here."""

from dqviz.methods import a2q, dq, fp32, hgq, mixq, nqat, ptq, qat, qlr, sgquant, topgq, vectorwise, vq_gnn
from dqviz.methods.base import METHODS, Method, make

__all__ = ["METHODS", "Method", "make"]

for _module in (fp32, ptq, qat, nqat, dq, qlr, a2q, mixq, hgq, sgquant, topgq, vectorwise, vq_gnn):
    METHODS.add(_module.ENTRY)
