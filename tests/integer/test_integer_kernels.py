"""Sparse products: every kernel equals the int64 reference to the bit."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from contract_graphs import (
    BITS,
    CHANNELS,
    GRAPHS,
    THREADS,
    codes,
    elu_epilogue,
    epilogues,
    graph,
    graphs,
    tie_epilogue,
    values,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import REFERENCE, VARIANTS, same, same_everywhere, small_work_is_shared_too, variant

from dqviz.errors import BadInput
from dqviz.integer.codes import Codes, Grid, quantize
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Dequantize, Requantize, elu_thresholds
from dqviz.integer.kernels import BACKENDS, best, make, native
from dqviz.integer.kernels.base import INT32_MAX, accumulator
from dqviz.integer.kernels.native import Native
from dqviz.integer.kernels.reference import densify
from dqviz.quant import QType
from dqviz.quant.functional import QParams, fake_quantize

__all__ = ["small_work_is_shared_too"]
compiles = settings(deadline=None)  # the first call of a type compiles for seconds
few = settings(deadline=None, max_examples=40)  # each example runs every kernel


def same_sparse(left: Csr, right: Csr) -> None:
    assert left.num_cols == right.num_cols
    np.testing.assert_array_equal(densify(left), densify(right))
    assert left.weights is not None


def test_the_native_kernels_are_built() -> None:
    """Without a compiler the other kernels are tested alone, and this says so; with CI set that is a failure."""
    if Native.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(Native.missing())
    assert {f"native {level}" for level in native.levels()} < set(VARIANTS)
    assert "plain" in native.levels()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("case", GRAPHS)
def test_sparse_product(case: str, bits: int) -> None:
    """Codes of 4 and fewer bits packed and not, results of all widths, work cut into 1, 2, 3 and 7 shares."""
    matrix = GRAPHS[case]
    factors = np.random.default_rng(0).random(matrix.num_rows)
    for turn, channels in enumerate(CHANNELS):
        zero = (0, -(2 ** (bits - 1)), 1)[turn % 3]
        x = codes(matrix.num_cols, channels, bits, zero=zero)
        out_bits = BITS[turn % len(BITS)]
        endings = [
            (0.0, None),
            (0.0, Dequantize(np.full(channels, 0.1), np.full(channels, -0.3))),
            (0.0, Dequantize(np.full(channels, 0.1), np.full(channels, -0.3), rows=factors)),
            (0.0, tie_epilogue(channels, bits, 1)),
            (1.3, tie_epilogue(channels, out_bits, 1, relu=True)),
            (0.0, elu_epilogue(channels, out_bits, 0, 0.3)),
        ]
        for own, epilogue in endings:
            expected = REFERENCE.spmm(matrix, x, own=own, epilogue=epilogue)
            same_everywhere(expected, "spmm", matrix, x.packed(), own=own, epilogue=epilogue,
                            threads=THREADS if turn % 3 == 0 else (1, 3))  # fmt: skip
            same_everywhere(expected, "spmm", matrix, x, own=own, epilogue=epilogue, threads=(2,))


@few
@given(data=st.data())
def test_sparse_product_on_any_graph(data: st.DataObject) -> None:
    matrix, channels = data.draw(graphs()), data.draw(st.sampled_from(CHANNELS))
    bits, seed = data.draw(st.sampled_from(BITS)), data.draw(st.integers(0, 99))
    x = codes(matrix.num_cols, channels, bits, seed, data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)))
    own, epilogue = data.draw(st.sampled_from([0.0, 1.0, 1.1, -0.5])), data.draw(epilogues(channels, matrix.num_rows))
    same_everywhere(REFERENCE.spmm(matrix, x), "spmm", matrix, x)
    expected = REFERENCE.spmm(matrix, x, own=own, epilogue=epilogue)
    same_everywhere(expected, "spmm", matrix, x.packed(), own=own, epilogue=epilogue)


@few
@given(data=st.data())
def test_sparse_product_of_several_heads(data: st.DataObject) -> None:
    """Each head has its own weights and its own run of channels; 17 heads are more than the native kernels take."""
    heads, width = data.draw(st.sampled_from([(1, 5), (2, 7), (4, 16), (4, 64), (8, 8), (16, 3), (17, 2)]))
    matrix, bits = data.draw(graphs(heads)), data.draw(st.sampled_from(BITS))
    x = codes(matrix.num_cols, heads * width, bits, zero=data.draw(st.sampled_from([0, 1, -2])))
    epilogue = data.draw(epilogues(x.channels))
    sums = REFERENCE.spmm(matrix, x)
    alone = [REFERENCE.spmm(matrix.of_head(h), Codes.of(x.values[:, h * width : (h + 1) * width], x.params))
             for h in range(heads)]  # fmt: skip
    np.testing.assert_array_equal(sums, np.concatenate(alone, axis=1))
    same_everywhere(sums, "spmm", matrix, x)
    same_everywhere(REFERENCE.spmm(matrix, x, epilogue=epilogue), "spmm", matrix, x, epilogue=epilogue)


def bound_graph(reach: int, weight: int = 127) -> Csr:
    """One row whose weights add up to `reach`."""
    count, rest = divmod(reach, weight)
    weights = np.array([weight] * count + [rest], np.int8)
    return Csr(np.array([0, count + 1]), np.zeros(count + 1, np.int32), weights, 1)


@pytest.mark.parametrize("excess", [0, 1])
def test_sums_at_the_bound_of_int32(excess: int) -> None:
    """The largest sum that int32 surely holds (255 a unit of weight), and the first that is held in int64."""
    matrix = bound_graph(INT32_MAX // 255 + excess)
    x = Codes.of(np.full((1, 3), 127, np.int8), Grid(1.0, -128, 8))
    expected = np.full((1, 3), matrix.reach * 255, np.int64 if excess else np.int32)
    assert int(expected[0, 0]) == matrix.reach * 255
    assert (matrix.reach * 255 > INT32_MAX) == bool(excess)
    same(REFERENCE.spmm(matrix, x), expected)
    same_everywhere(expected, "spmm", matrix, x, threads=(1, 3))
    assert accumulator(INT32_MAX) is np.int32
    assert accumulator(INT32_MAX + 1) is np.int64


@pytest.mark.parametrize("bits", [4, 2])
def test_packed_sums_at_the_bound(bits: int) -> None:
    """Fields of a byte share 32 bits on their way: also where all of them are at their largest."""
    matrix = bound_graph(INT32_MAX // 255)
    for zero, value in ((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1), (2 ** (bits - 1) - 1, -(2 ** (bits - 1)))):
        x = Codes.of(np.full((1, 70), value, np.int8), Grid(1.0, zero, bits))
        same_everywhere(REFERENCE.spmm(matrix, x), "spmm", matrix, x.packed(), threads=(1, 3))


@few
@given(data=st.data())
def test_sum_of_sparse_rows(data: st.DataObject) -> None:
    weighted = data.draw(graphs())
    matrix = Csr(weighted.indptr, weighted.indices, None, weighted.num_cols)
    nodes, channels = matrix.num_rows, data.draw(st.sampled_from(CHANNELS))
    dense = values(nodes, channels, 4) * (values(nodes, channels, 4, 1) > 2)
    row, column = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=nodes))]).astype(np.int64)
    x = Csr(indptr, column.astype(np.int32), dense[row, column], channels)
    drawn = data.draw(epilogues(channels, nodes))
    epilogue = Requantize(drawn.multiplier, np.zeros(channels), drawn.relu, drawn.out, rows=drawn.rows,
                          thresholds=drawn.thresholds)  # fmt: skip
    own = data.draw(st.sampled_from([0.0, 1.0, 1.1]))
    expected = REFERENCE.sum_sparse(matrix, x, own, epilogue)
    as_dense = REFERENCE.spmm(matrix, Codes.of(dense, Grid(1.0, 0, 8)), own=own, epilogue=epilogue)
    assert isinstance(as_dense, Codes)
    centred = as_dense.values.astype(np.int64) - epilogue.out.zero_point
    np.testing.assert_array_equal(densify(expected), centred)
    for name in VARIANTS:
        same_sparse(variant(name, 2).sum_sparse(matrix, x, own, epilogue), expected)


@compiles
@given(data=st.data())
def test_quantize_is_the_training_quantizer(data: st.DataObject) -> None:
    """Ties included: codes of the engine equal those of dqviz.quant for signed and unsigned types."""
    bits, signed = data.draw(st.sampled_from(BITS)), data.draw(st.booleans())
    qtype = QType(bits, signed)
    scale = np.float32(data.draw(st.one_of(st.sampled_from([0.5, 1.0, 0.1, 0.01]), st.floats(1e-6, 1e3))))
    zero = data.draw(st.integers(qtype.qmin, qtype.qmax))
    steps = data.draw(st.lists(st.floats(-300, 300, width=32), min_size=6, max_size=6))
    ties = scale * (np.arange(-6, 6, dtype=np.float32) + np.float32(0.5))
    x = np.concatenate([ties, np.array(steps, np.float32) * scale]).astype(np.float32).reshape(3, 6)
    values = fake_quantize(torch.from_numpy(x), QParams(float(scale), zero), qtype).numpy()
    trained = np.rint(values / scale) + zero
    shift = 0 if signed else 2 ** (bits - 1)
    grid = Grid(float(scale), zero - shift, bits)
    expected = REFERENCE.quantize(x, grid)
    np.testing.assert_array_equal(expected.values, trained - shift)
    same_everywhere(expected, "quantize", x, grid)


@pytest.mark.parametrize("bits", BITS)
def test_quantize_with_a_step_for_each_row(bits: int) -> None:
    """As if each row were quantized by itself with its own step."""
    rng = np.random.default_rng(0)
    for channels in CHANNELS:
        x, rows = rng.normal(size=(9, channels)).astype(np.float32), (rng.random(9) + 0.01).astype(np.float32)
        x[:, 0] = rows * np.float32(0.5)
        grid = Grid(1.0, -1, bits, rows=rows)
        expected = REFERENCE.quantize(x, grid)
        alone = [quantize(row, Grid(float(step), -1, bits)) for row, step in zip(x, rows, strict=True)]
        np.testing.assert_array_equal(expected.values, np.stack(alone))
        same_everywhere(expected, "quantize", x, grid, threads=(1, 2))
        inside = np.clip(x, (grid.qmin + 1) * rows[:, None], (grid.qmax + 1) * rows[:, None])
        assert (np.abs(expected.real() - inside) <= 0.501 * rows[:, None]).all()


@compiles
@given(graphs(), st.integers(1, 9))
def test_shares_cover_every_entry_once(matrix: Csr, count: int) -> None:
    row, entry = matrix.shares(count)
    assert (row[0], entry[0], row[-1], entry[-1]) == (0, 0, matrix.num_rows, matrix.num_entries)
    work = np.diff(row) + np.diff(entry)
    assert work.max() - work.min() <= 1
    inside = row < matrix.num_rows
    assert (matrix.indptr[row[inside]] <= entry[inside]).all()
    assert (entry[inside] <= matrix.indptr[row[inside] + 1]).all()


def test_an_own_term_needs_an_epilogue() -> None:
    for backend in (REFERENCE, *map(variant, VARIANTS)):
        with pytest.raises(ValueError, match="own term"):
            backend.spmm(GRAPHS["empty rows"], codes(9, 4), own=1.0)


def test_heads_that_cannot_be_read_the_same_way_are_no_obstacle() -> None:
    """One head has weights above 127, the other negative ones: no single reading of a byte fits both."""
    weights = np.array([[200, -1], [7, -128]], np.int16)
    matrix = graph([0, 1], [1, 1], 2, weights)
    assert matrix.quads is None
    x = codes(2, 6)
    same_everywhere(REFERENCE.spmm(matrix, x), "spmm", matrix, x)


def test_an_unknown_backend_lists_the_choices() -> None:
    with pytest.raises(BadInput, match="native, numba, reference"):
        make("cuda")
    assert best() in BACKENDS.names()


@pytest.mark.parametrize("inverse", [3.0, 20.0, 57.3, 250.0])
@pytest.mark.parametrize("bits", [4, 8])
def test_elu_decided_by_a_polynomial_is_that_of_the_thresholds(inverse: float, bits: int) -> None:
    """Away from ties a polynomial decides, near them the thresholds do: the same codes as the reference, always."""
    whole = GRAPHS["heavy tail, int16"]
    matrix = Csr(whole.indptr, whole.indices, np.clip(whole.weights, 0, 127).astype(np.int8), whole.num_cols)
    grid = Grid(float(np.float32(1 / inverse)), -(1 << bits - 1) + min(int(inverse), 1 << bits - 1), bits)
    thresholds = elu_thresholds(grid.inverse, grid.zero_point - grid.qmin)
    for channels in (16, 130):
        x = codes(matrix.num_cols, channels)
        for step in (1e-3, 1 / 512, 0.05):
            epilogue = Requantize(np.full(channels, step), np.linspace(-3, 1, channels), False, grid,
                                  thresholds=thresholds)  # fmt: skip
            expected = REFERENCE.spmm(matrix, x, epilogue=epilogue)
            for level in native.levels():
                same(Native(1, level).spmm(matrix, x, epilogue=epilogue), expected)
