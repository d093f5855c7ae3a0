"""Every kernel backend equals the int64 reference to the bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from contract_graphs import CHANNELS, GRAPHS, THREADS, codes, epilogues, graphs, tie_epilogue
from hypothesis import given, settings
from hypothesis import strategies as st

from dqviz.errors import BadInput
from dqviz.integer.codes import Grid, quantize
from dqviz.integer.csr import Csr
from dqviz.integer.epilogue import Dequantize, Requantize
from dqviz.integer.kernels import BACKENDS, best, make
from dqviz.integer.kernels.base import accumulator
from dqviz.integer.weight import weight_of
from dqviz.quant import QType
from dqviz.quant.functional import QParams, quantize_codes

REFERENCE = make("reference")
compiles = settings(deadline=None)  # the first call of a type compiles for seconds
OTHERS = [entry.name for entry in BACKENDS if entry.name != "reference" and entry.facts["class"].available()]


def same(left: np.ndarray, right: np.ndarray) -> None:
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


def same_sparse(left: Csr, right: Csr) -> None:
    from dqviz.integer.kernels.reference import densify

    assert left.num_cols == right.num_cols
    np.testing.assert_array_equal(densify(left), densify(right))
    assert left.weights is not None
    assert (left.weights != 0).all()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("case", GRAPHS)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("threads", THREADS)
def test_sparse_product(name: str, case: str, channels: int, threads: int) -> None:
    backend, matrix = make(name, threads), GRAPHS[case]
    x = codes(matrix.num_cols, channels)
    for zero in (0, -128, 5):
        same(backend.spmm(matrix, x, zero), REFERENCE.spmm(matrix, x, zero))
        for own, relu in ((0.0, False), (1.0, True), (1.3, True)):
            epilogue = tie_epilogue(channels, 4 if zero else 8, 3, relu)
            same(backend.spmm(matrix, x, zero, own=own, epilogue=epilogue),
                 REFERENCE.spmm(matrix, x, zero, own=own, epilogue=epilogue))  # fmt: skip
    logits = Dequantize(np.full(channels, 0.1), np.full(channels, -0.3))
    same(backend.spmm(matrix, x, 2, epilogue=logits), REFERENCE.spmm(matrix, x, 2, epilogue=logits))


@pytest.mark.parametrize("name", OTHERS)
@compiles
@given(data=st.data())
def test_sparse_product_on_any_graph(name: str, data: st.DataObject) -> None:
    matrix, channels = data.draw(graphs()), data.draw(st.sampled_from(CHANNELS))
    x = codes(matrix.num_cols, channels, data.draw(st.sampled_from([2, 4, 8])), data.draw(st.integers(0, 99)))
    backend = make(name, data.draw(st.sampled_from(THREADS)))
    zero, own = data.draw(st.integers(-128, 127)), data.draw(st.sampled_from([0.0, 1.0, 1.1, -0.5]))
    epilogue = data.draw(epilogues(channels))
    same(backend.spmm(matrix, x, zero), REFERENCE.spmm(matrix, x, zero))
    same(backend.spmm(matrix, x, zero, own=own, epilogue=epilogue),
         REFERENCE.spmm(matrix, x, zero, own=own, epilogue=epilogue))  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
@compiles
@given(data=st.data())
def test_dense_product(name: str, data: st.DataObject) -> None:
    rows, inner = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 70))
    channels, bits = data.draw(st.sampled_from(CHANNELS)), data.draw(st.sampled_from([2, 4, 8]))
    params = Grid(0.1, data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)), bits)
    weight = weight_of(codes(inner, channels, bits, 1), params)
    x, zero = codes(rows, inner, data.draw(st.sampled_from([4, 8]))), data.draw(st.integers(-128, 127))
    backend = make(name, data.draw(st.sampled_from(THREADS)))
    logits = Dequantize(np.full(channels, 1e-3), np.full(channels, 0.25))
    for epilogue in (None, data.draw(epilogues(channels)), logits):
        same(backend.gemm(x, zero, weight, epilogue), REFERENCE.gemm(x, zero, weight, epilogue))


@pytest.mark.parametrize("name", OTHERS)
def test_dense_product_saturates_nowhere(name: str) -> None:
    """All operands at -128 or 127: an int16 intermediate would clip; 2,049 columns is no multiple of anything."""
    for x_code, w_code in ((-128, -128), (-128, 127), (127, 127)):
        x = np.full((9, 2049), x_code, np.int8)
        weight = weight_of(np.full((2049, 5), w_code, np.int8), Grid(1.0, 100, 8))
        same(make(name, 2).gemm(x, -128, weight), REFERENCE.gemm(x, -128, weight))


@pytest.mark.parametrize("name", OTHERS)
def test_sums_beyond_int32_are_widened(name: str) -> None:
    """70,000 entries of 255 x 255 pass 2^31: the hub's sum is held in int64 by every backend."""
    count = 70_000
    matrix = Csr(np.array([0, count]), np.zeros(count, np.int32), np.full(count, 255, np.int16), 1)
    x = np.full((1, 3), 127, np.int8)
    expected = np.full((1, 3), count * 255 * 255)
    for backend in (REFERENCE, make(name, 3)):
        same(backend.spmm(matrix, x, -128), expected)
    assert accumulator(2**31 - 1) is np.int32
    assert accumulator(2**31) is np.int64


@pytest.mark.parametrize("name", OTHERS)
@compiles
@given(data=st.data())
def test_sum_of_sparse_rows(name: str, data: st.DataObject) -> None:
    weighted = data.draw(graphs())
    matrix = Csr(weighted.indptr, weighted.indices, None, weighted.num_cols)
    nodes, channels = matrix.num_rows, data.draw(st.sampled_from(CHANNELS))
    dense = codes(nodes, channels, 4) * (codes(nodes, channels, 4, 1) > 2)
    row, column = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=nodes))]).astype(np.int64)
    x = Csr(indptr, column.astype(np.int32), dense[row, column], channels)
    drawn = data.draw(epilogues(channels))
    epilogue = Requantize(drawn.multiplier, np.zeros(channels), drawn.relu, drawn.out)
    own = data.draw(st.sampled_from([0.0, 1.0, 1.1]))
    same_sparse(make(name, 2).sum_sparse(matrix, x, own, epilogue), REFERENCE.sum_sparse(matrix, x, own, epilogue))
    as_dense = REFERENCE.spmm(matrix, dense, 0, own=own, epilogue=epilogue)
    same_sparse(make(name).sum_sparse(matrix, x, own, epilogue), csr_of(as_dense, epilogue.out.zero_point))


def csr_of(codes_: np.ndarray, zero_point: int) -> Csr:
    centred = codes_.astype(np.int16) - zero_point
    row, column = np.nonzero(centred)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(centred)))]).astype(np.int64)
    return Csr(indptr, column.astype(np.int32), centred[row, column], centred.shape[1])


@pytest.mark.parametrize("name", [entry.name for entry in BACKENDS if entry.facts["class"].available()])
@compiles
@given(data=st.data())
def test_quantize_is_the_training_quantizer(name: str, data: st.DataObject) -> None:
    """Ties included: codes of the engine equal those of dqviz.quant for signed and unsigned types."""
    bits, signed = data.draw(st.sampled_from([2, 4, 8])), data.draw(st.booleans())
    qtype = QType(bits, signed)
    scale = np.float32(data.draw(st.one_of(st.sampled_from([0.5, 1.0, 0.1, 0.01]), st.floats(1e-6, 1e3))))
    zero = data.draw(st.integers(qtype.qmin, qtype.qmax))
    steps = data.draw(st.lists(st.floats(-300, 300, width=32), min_size=6, max_size=6))
    ties = scale * (np.arange(-6, 6, dtype=np.float32) + np.float32(0.5))
    x = np.concatenate([ties, np.array(steps, np.float32) * scale]).astype(np.float32).reshape(3, 6)
    trained = quantize_codes(torch.from_numpy(x), QParams(float(scale), zero), qtype).numpy()
    shift = 0 if signed else 2 ** (bits - 1)
    found = make(name).quantize(x, Grid(float(scale), zero - shift, bits))
    np.testing.assert_array_equal(found, trained - shift)
    same(found, quantize(x, Grid(float(scale), zero - shift, bits)))


@compiles
@given(acc=st.integers(-(2**31), 2**31 - 1), exponent=st.integers(-20, 3), offset=st.integers(-40, 40))
def test_requantize_against_exact_arithmetic(acc: int, exponent: int, offset: int) -> None:
    """Powers of two are exact in float64, so rational arithmetic gives the one right answer, ties to even."""
    epilogue = Requantize(np.array([2.0**exponent]), np.array([offset / 8]), False, Grid(1.0, 3, 8))
    y = Fraction(acc) * Fraction(2) ** exponent + Fraction(offset, 8)
    exact = round(Fraction(float(np.float32(float(y))))) + 3
    assert epilogue.apply(np.array([[acc]]))[0, 0] == max(-128, min(127, exact))


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
    for backend in map(make, BACKENDS.names()):
        with pytest.raises(ValueError, match="own term"):
            backend.spmm(GRAPHS["empty rows"], codes(9, 4), own=1.0)


def test_an_unknown_backend_lists_the_choices() -> None:
    with pytest.raises(BadInput, match="numba, reference"):
        make("cuda")
    assert best() in BACKENDS.names()
