"""Where the library says that float32 decides every code, it does: for each sum there can be."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import REFERENCE, same_everywhere, small_work_is_shared_too

from dqviz.integer import memory
from dqviz.integer.codes import Codes, Grid
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Requantize
from dqviz.integer.kernels.buffers import SMALLEST, Buffers
from dqviz.integer.kernels.finishing import CERTAIN, CHECKED, finish_of
from dqviz.integer.kernels.library import Finish
from dqviz.integer.kernels.native import Native

__all__ = ["small_work_is_shared_too"]
pytestmark = pytest.mark.skipif(bool(Native.missing()), reason=Native.missing() or "built")


def floats_at(place: int, count: int) -> npt.NDArray[np.float32]:
    return np.ctypeslib.as_array(ctypes.cast(place, ctypes.POINTER(ctypes.c_float)), (count,)).copy()


def codes_in_float32(finish: Finish, channels: int, sums: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Codes [sums, channels] as a kernel makes them: sum m + b rounded once (80-bit numbers hold it), ties unseen."""
    m, b = (floats_at(place, channels).astype(np.longdouble) for place in (finish.multiplier32, finish.offset32))
    y = (sums.astype(np.float32).astype(np.longdouble)[:, None] * m + b).astype(np.float32)
    return np.clip(np.rint(y), finish.low, finish.high).astype(np.int64) + finish.zero_point


@settings(deadline=None, max_examples=60)
@given(
    bits=st.sampled_from([2, 3, 4, 8]), relu=st.booleans(), exponent=st.floats(-9, 0), falling=st.booleans(),
    ties=st.booleans(), zero=st.integers(-2, 1), seed=st.integers(0, 99),
)  # fmt: skip
def test_certain_means_every_sum(
    bits: int, relu: bool, exponent: float, falling: bool, ties: bool, zero: int, seed: int
) -> None:
    rng, reach = np.random.default_rng(seed), 4000
    step = 2.0 ** round(exponent) if ties else 2.0**exponent
    multiplier = np.full(5, -step if falling else step) * (1 if ties else rng.uniform(0.5, 2, 5))
    offset = np.zeros(5) if ties else rng.normal(size=5)
    epilogue = Requantize(multiplier, offset, relu, Grid(1.0, zero, bits))
    finish, _ = finish_of(epilogue, 5, reach)
    sums = np.arange(-reach, reach + 1)
    if finish.fast == CERTAIN:
        expected = epilogue.apply(np.repeat(sums[:, None], 5, axis=1))
        np.testing.assert_array_equal(codes_in_float32(finish, 5, sums), expected)


def test_low_bits_are_certain_and_many_channels_of_8_bits_are_checked() -> None:
    """What it is for: 15 steps a channel can be proved, 255 in each of 256 channels cannot; both stay exact."""
    rng = np.random.default_rng(0)
    matrix = Csr(np.array([0, 3, 8]), np.array([0, 1, 2, 0, 1, 2, 3, 3], np.int32), np.arange(1, 9, dtype=np.int8), 4)
    for bits, step, expected in ((4, 1e-3, CERTAIN), (8, 1e-5, CHECKED)):
        epilogue = Requantize(rng.uniform(step, 2 * step, 256), rng.normal(size=256), False, Grid(1.0, 0, bits))
        finish, _ = finish_of(epilogue, 256, 20_000_000)
        assert finish.fast == expected
        x = Codes.of(rng.integers(-8, 8, (4, 256)).astype(np.int8), Grid(1.0, 0, bits))
        same_everywhere(REFERENCE.spmm(matrix, x, epilogue=epilogue), "spmm", matrix, x.packed(), epilogue=epilogue)


@pytest.mark.parametrize("own", [1.0, 2.0, 127.0, 128.0, 1.5, -1.0])
def test_own_codes_are_added_how_often_is_asked(own: float) -> None:
    """Whole numbers up to 127 are a weight of one more entry, the others a product in float64."""
    matrix = Csr(np.array([0, 3, 8, 8, 9]), np.array([0, 1, 2, 0, 1, 2, 3, 3, 1], np.int32), None, 4)
    for bits in (8, 4, 2):
        for channels in (8, 64, 128, 130, 256):
            x = Codes.of(np.random.default_rng(bits).integers(-2, 2, (4, channels)).astype(np.int8), Grid(1.0, 1, bits))
            epilogue = Requantize(np.full(channels, 0.03), np.zeros(channels), False, Grid(1.0, -1, bits))
            expected = REFERENCE.spmm(matrix, x, own=own, epilogue=epilogue)
            same_everywhere(expected, "spmm", matrix, x.packed(), own=own, epilogue=epilogue)


def test_buffers_begin_on_a_cache_line_and_are_not_given_twice() -> None:
    buffers, shape = Buffers(), (SMALLEST, 3)
    first, second = buffers.empty(shape, np.uint8), buffers.empty(shape, np.uint8)
    assert first.ctypes.data % memory.LINE == second.ctypes.data % memory.LINE == 0
    assert not np.shares_memory(first, second)
    part = first[5:]
    place = first.ctypes.data
    del first
    assert buffers.empty(shape, np.uint8).ctypes.data != place
    del part
    assert buffers.empty(shape, np.uint8).ctypes.data == place
