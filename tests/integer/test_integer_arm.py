"""The Arm kernels (NEON with dot product) under emulation give the bits of the reference on jobs of the contract."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_graphs import BITS, CHANNELS, GRAPHS, codes, elu_epilogue, tie_epilogue, values
from recorded_jobs import Recorder
from test_integer_attention import HEADS, softmax
from test_integer_kernels import bound_graph
from variants import REFERENCE, same, small_work_is_shared_too

from dqviz.integer.codes import Codes, Grid
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Dequantize, Epilogue, Requantize
from dqviz.integer.graph import SparseRows
from dqviz.integer.kernels.base import INT32_MAX, Backend
from dqviz.integer.kernels.library import LEVELS
from dqviz.integer.kernels.native import Native
from dqviz.integer.weight import weight_of

__all__ = ["small_work_is_shared_too"]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
SOURCES = Path(__file__).resolve().parents[2] / "dqviz" / "integer" / "kernels" / "c"
Case = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of the kernels and what it is given."""


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of replay.c for Arm. Without compiler or emulator the test is skipped, and says so; with
    DQVIZ_REQUIRE_ARM (make arm) it fails."""
    absent = [tool for tool in (COMPILER, EMULATOR) if not shutil.which(tool)]
    if absent or Native.missing():
        reason = Native.missing() or f"{' and '.join(absent)} not found (Debian: gcc-aarch64-linux-gnu, qemu-user)"
        (pytest.fail if os.environ.get("DQVIZ_REQUIRE_ARM") else pytest.skip)(reason)
    program = tmp_path_factory.mktemp("arm") / "replay"
    here = Path(__file__).with_name("replay.c")
    flags = ["-O3", "-std=gnu11", "-ffp-contract=off", "-pthread", "-static", "-Wall", "-Wextra", "-Werror"]
    sources = [here, *sorted(SOURCES.glob("*.c"))]
    subprocess.run([COMPILER, *flags, f"-I{SOURCES}", "-o", program, *sources, "-lm"], check=True)
    return program


def sparse_cases() -> Iterator[Case]:
    """Every graph, width and number of channels, with some epilogue each."""
    for at, matrix in enumerate(GRAPHS.values()):
        factors = np.random.default_rng(0).random(matrix.num_rows)
        for bits in BITS:
            for turn, channels in enumerate(CHANNELS):
                x = codes(matrix.num_cols, channels, bits, zero=(0, -(2 ** (bits - 1)), 1)[turn % 3]).packed()
                offset = np.full(channels, -0.3)
                endings: list[tuple[float, Epilogue]] = [
                    (0.0, tie_epilogue(channels, bits, 1)),
                    (0.0, Dequantize(np.full(channels, 0.1), offset, rows=factors)),
                    (1.3, tie_epilogue(channels, BITS[turn % len(BITS)], 1, relu=True)),
                    (0.0, Requantize(np.full(channels, 0.01), offset, False, Grid(1.0, 0, bits), rows=factors)),
                    (0.0, elu_epilogue(channels, BITS[turn % len(BITS)], 0, 0.3)),
                ]
                own, epilogue = endings[(at + turn) % 5]
                yield "spmm", (matrix, x), {}
                yield "spmm", (matrix, x), {"own": own, "epilogue": epilogue}


def weighted_cases() -> Iterator[Case]:
    """Unsigned weights above 127, attention of several heads, sums at the bound of int32."""
    tail = GRAPHS["heavy tail, int16"]
    for low, high, kind in ((0, 255, np.uint8), (0, 127, np.int8), (-128, 127, np.int8)):
        weights = np.random.default_rng(1).integers(low, high + 1, tail.num_entries).astype(kind)
        matrix = Csr(tail.indptr, tail.indices, weights, tail.num_cols)
        for bits in BITS:
            x = codes(tail.num_cols, 130, bits, zero=1).packed()
            for epilogue in (None, tie_epilogue(130, bits), elu_epilogue(130, bits, 0, 0.05)):
                yield "spmm", (matrix, x), {"epilogue": epilogue}
    plain = Csr(tail.indptr, tail.indices, None, tail.num_cols)
    for turn, (heads, width) in enumerate(HEADS[:-1]):
        rule, scores = softmax(8, BITS[turn % len(BITS)]), codes(tail.num_rows, 2 * heads, 8, turn)
        x, ending = codes(tail.num_rows, heads * width, 4), tie_epilogue(heads * width, 4, 1)
        yield "attend", (plain, x.packed(), scores, rule, ending), {}
        signed = np.random.default_rng(2).integers(-128, 128, (tail.num_entries, heads)).astype(np.int8)
        yield "spmm", (Csr(tail.indptr, tail.indices, signed, tail.num_cols), x), {}
    for bits in BITS:
        most = Codes.of(np.full((1, 70), 2 ** (bits - 1) - 1, np.int8), Grid(1.0, -(2 ** (bits - 1)), bits)).packed()
        yield "spmm", (bound_graph(INT32_MAX // 255), most), {}


def dense_cases() -> Iterator[Case]:
    """Products of one and two matrices, and quantization of dense and sparse rows."""
    rng, tail = np.random.default_rng(3), GRAPHS["heavy tail, int16"]
    pattern = Csr(tail.indptr, tail.indices, None, tail.num_cols)
    for bits in BITS:
        for inner, channels in ((1, 1), (5, 7), (16, 64), (37, 65), (70, 16), (130, 40)):
            x = codes(11, inner, bits, 2, 1).packed()
            multiplier = np.full(channels, 0.01)
            ending = Requantize(multiplier, np.linspace(-2, 2, channels), False, Grid(1.0, 0, bits))
            for zero in (0, 100):
                weight = weight_of(values(inner, channels, 8, 1), Grid(0.1, zero, 8))
                yield "gemm", (x, weight), {}
                yield "gemm", (x, weight, ending), {}
            both = Requantize(multiplier, np.zeros(channels), True, Grid(1.0, 1, bits), also=2 * multiplier)
            yield "gemm_pair", (x, weight, x, weight, both), {}
            sums = values(11, channels, 8, 4).astype(np.int32) * 50
            yield "combine", (sums, codes(11, channels, bits, 3, 1).packed(), both), {}
            yield "quantize", ((3 * rng.normal(size=(9, channels))).astype(np.float32), Grid(0.5, 1, bits)), {}
        stored = SparseRows(pattern, rng.normal(size=tail.num_entries).astype(np.float32))
        yield "quantize_entries", (stored, Grid(0.01, 0, bits)), {}


def result(backend: Backend, case: Case) -> object:
    name, given, named = case
    found: object = getattr(backend, name)(*given, **named)
    return found.weights if isinstance(found, Csr) else found


def float_sums(recorder: Recorder) -> None:
    """Sums in float32, which are compared within rounding with those of plain C."""
    tail, rng = GRAPHS["heavy tail, int16"], np.random.default_rng(4)
    for channels in CHANNELS:
        x = rng.normal(size=(tail.num_cols, channels)).astype(np.float32)
        with recorder.noting():
            recorder.spmm_float(tail, tail.layout.spread(np.ones(tail.num_entries, np.float32)), x)


def test_the_arm_kernels_equal_the_reference(replay: Path, tmp_path: Path) -> None:
    """Recorded with plain C here, where each result is compared with the reference; then run by the Arm kernels."""
    recorders = [Recorder(1), Recorder(3)]
    for turn, case in enumerate(chain(sparse_cases(), weighted_cases(), dense_cases())):
        recorder = recorders[turn % 5 == 4]
        with recorder.noting():
            found = result(recorder, case)
        same(found, result(REFERENCE, case))
    float_sums(recorders[0])
    for recorder in recorders:
        with (tmp_path / "jobs").open("wb") as file:
            count = recorder.write(file)
        for level in ("plain", "neon"):
            command = [EMULATOR, "-cpu", "max", replay, tmp_path / "jobs", str(LEVELS.index(level))]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
            assert (done.returncode, done.stdout) == (0, f"{count} of {count} jobs equal\n"), f"{level}: {done.stderr}"
