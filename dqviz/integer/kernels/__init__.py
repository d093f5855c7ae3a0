"""Kernel backends behind one signature. One backend is one file here and one line below."""

from dqviz.integer.kernels import native, parallel, reference
from dqviz.integer.kernels.base import BACKENDS, Backend, best, make

__all__ = ["BACKENDS", "Backend", "best", "make"]

for _module in (reference, parallel, native):
    BACKENDS.add(_module.ENTRY)
