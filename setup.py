"""The optional native kernels; everything else about this package stands in pyproject.toml.

Built into dqviz/integer/kernels and dqviz/quant by `python setup.py build_ext --inplace` (the Makefile does it);
without a C compiler the build says so and goes on, and the numba kernels and torch do the work.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

SOURCES = Path("dqviz/integer/kernels/c")
X86 = ("avx2", "avx_vnni", "avx512_vnni", "avx512", "avx512_sparse", "avx512_dense")
NAMES = ("kernels", "certain", "plain", *X86, "neon")
# -ffp-contract=off: a fused multiply-add would round once where the reference rounds twice.
FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=off", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g1", "-O1", "-DDQVIZ_CHECKED"]
extra = SANITIZE if os.environ.get("DQVIZ_SANITIZE") else []

setup(
    ext_modules=[
        Extension(
            "dqviz.integer.kernels._native",
            sources=[str(SOURCES / f"{name}.c") for name in NAMES],
            depends=[str(SOURCES / name) for name in ("kernels.h", "avx512.h", "plain.inc", "avx2.inc")],
            extra_compile_args=[*FLAGS, *extra],
            extra_link_args=["-pthread", *extra],
            optional=True,
        ),
        Extension(
            "dqviz.quant._passes",
            sources=["dqviz/quant/c/passes.c"],
            extra_compile_args=[*FLAGS, *extra],
            extra_link_args=extra,
            optional=True,
        ),
    ]
)
