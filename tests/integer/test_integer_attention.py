"""Attention in codes: every kernel equals the reference to the bit, and the reference is torch_geometric's softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from contract_graphs import BITS, GRAPHS, THREADS, codes, epilogues, graph, graphs, tie_epilogue, values
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.utils import softmax as pyg_softmax
from variants import REFERENCE, VARIANTS, same, same_everywhere, small_work_is_shared_too, variant

from dqviz.errors import Unavailable
from dqviz.integer.codes import Codes, Grid
from dqviz.integer.csr import Csr, from_edges
from dqviz.integer.graph import Edges
from dqviz.integer.kernels.base import INT32_MAX
from dqviz.integer.softmax import Softmax, softmax_of

__all__ = ["small_work_is_shared_too"]
few = settings(deadline=None, max_examples=40)
HEADS = ((1, 5), (2, 7), (2, 128), (3, 5), (4, 16), (4, 64), (6, 3), (8, 8), (16, 3), (17, 2))


def softmax(bits: int = 8, out_bits: int = 8, step: float = 0.05, zero: int = 1, largest: float = 1.0) -> Softmax:
    """Scores of `bits` in a grid with a zero point, weights of `out_bits` with the largest coefficient `largest`."""
    out = Grid(float(np.float32(largest) / np.float32(2**out_bits - 1)), -(2 ** (out_bits - 1)), out_bits)
    return softmax_of(Grid(step, zero, bits), out, 0.2)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("case", GRAPHS)
def test_attention_and_its_sum(case: str, bits: int) -> None:
    matrix = GRAPHS[case]
    plain = Csr(matrix.indptr, matrix.indices, None, matrix.num_cols)
    for turn, (heads, width) in enumerate(HEADS):
        rule = softmax(bits, BITS[turn % len(BITS)])
        scores, x = codes(matrix.num_rows, 2 * heads, bits, turn), codes(matrix.num_rows, heads * width, bits, zero=1)
        weighted = REFERENCE.attention(plain, scores, rule)
        for name in VARIANTS:
            for threads in THREADS:
                same(variant(name, threads).attention(plain, scores, rule).weights, weighted.weights)
        for epilogue in (None, tie_epilogue(heads * width, bits, 1)):
            expected = REFERENCE.attend(plain, x, scores, rule, epilogue)
            same_everywhere(expected, "attend", plain, x.packed(), scores.packed(), rule, epilogue)


@few
@given(data=st.data())
def test_attention_on_any_graph(data: st.DataObject) -> None:
    weighted = data.draw(graphs())
    matrix = Csr(weighted.indptr, weighted.indices, None, weighted.num_cols)
    heads, width = data.draw(st.sampled_from(HEADS))
    bits, out_bits = data.draw(st.sampled_from(BITS)), data.draw(st.sampled_from(BITS))
    rule = softmax(bits, out_bits, data.draw(st.sampled_from([1e-6, 0.01, 0.5, 2.0])),
                   data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)),
                   data.draw(st.sampled_from([1.0, 0.3, 1e-3])))  # fmt: skip
    scores = codes(matrix.num_rows, 2 * heads, bits, data.draw(st.integers(0, 99)))
    x = codes(matrix.num_rows, heads * width, data.draw(st.sampled_from(BITS)))
    epilogue = data.draw(epilogues(x.channels, matrix.num_rows))
    same_everywhere(REFERENCE.attend(matrix, x, scores, rule, epilogue), "attend", matrix, x, scores, rule, epilogue)


@pytest.mark.parametrize("heads", [1, 3, 4, 8])
def test_rows_longer_than_a_kernel_keeps(heads: int) -> None:
    """1,030 entries, more than AVX-512 keeps exponentials of; and rows of up to five entries, shorter than a vector."""
    ends = [0] * 1030 + [node for node in range(1, 6) for _ in range(node)]
    starts = [*range(1030), *range(len(ends) - 1030)]
    matrix, rule = graph(starts, ends, 1030), softmax(step=0.01)
    scores, x = codes(1030, 2 * heads, 8, 5), codes(1030, 2 * heads)
    same_everywhere(REFERENCE.attend(matrix, x, scores, rule), "attend", matrix, x, scores, rule)


@pytest.mark.parametrize("step", [0.001, 0.05, 1.0])
def test_the_reference_is_the_softmax_of_torch_geometric(step: float) -> None:
    """In float64 and rounded as training rounds it: at most a step beside, and that only next to a tie."""
    matrix, rule = GRAPHS["heavy tail, int16"], softmax(step=step)
    scores = codes(203, 8)
    weights = REFERENCE.attention(matrix, scores, rule).weights
    source, target = torch.from_numpy((scores.values.astype(np.float64) - 1) * step).chunk(2, dim=1)
    row = torch.from_numpy(matrix.row_of_entry())
    logits = F.leaky_relu(source[torch.from_numpy(matrix.indices).long()] + target[row], 0.2)
    steps = (pyg_softmax(logits, row, num_nodes=203) * rule.out.inverse).float()
    np.testing.assert_allclose(weights, steps.round().clamp(max=255).numpy(), atol=1)
    beside = weights != steps.round().numpy()
    assert (np.abs(steps.numpy() % 1 - 0.5)[beside] < 1e-4).all()


def test_rows_far_from_the_largest_logit_keep_their_softmax() -> None:
    """A node whose logits lie 1,200 below those of another is not lost: the table's span is what float64 holds."""
    rule = softmax(step=4.0, zero=0)
    scores = Codes.of(np.array([[127, 127], [-128, -128], [-127, -128]], np.int8), rule.scores)
    matrix = graph([0, 1, 2], [0, 1, 1], 3)
    weights = REFERENCE.attention(matrix, scores, rule).weights
    assert weights is not None
    low = np.exp(-0.2 * 4)  # one step of the grid apart, below zero
    assert weights.ravel().tolist() == [255, round(255 * low / (1 + low)), round(255 / (1 + low))]
    x = codes(3, 5)
    same_everywhere(REFERENCE.attend(matrix, x, scores, rule), "attend", matrix, x, scores, rule)
    with pytest.raises(Unavailable, match="span"):
        softmax(step=5.0)


def test_weights_of_a_row_stay_within_their_bound() -> None:
    """Every coefficient rounds up: 1 / n just above half a step, for as many edges as there may be."""
    for bits in BITS:
        rule = softmax(out_bits=bits)
        edges = min(2 * rule.high, 509)
        matrix = graph(list(range(edges)), [0] * edges, edges)
        weights = REFERENCE.attention(matrix, Codes.of(np.zeros((edges, 2), np.int8), rule.scores), rule).weights
        assert weights is not None
        assert int(weights.sum()) <= rule.reach(edges)
        assert rule.reach(edges) <= edges * rule.high
    assert softmax().reach(2 * INT32_MAX // 255) * 255 > INT32_MAX


def test_loops_are_replaced_as_gat_replaces_them() -> None:
    matrix = Edges(torch.tensor([[0, 1, 1, 2], [1, 1, 0, 2]]), 4).with_loops
    assert matrix.indptr.tolist() == [0, 2, 4, 5, 6]
    assert matrix.indices.tolist() == [1, 0, 0, 1, 2, 3]


def test_means_and_steps_of_a_graph() -> None:
    """A node without edges has factor 1; an edge's weight takes the step of its source before it is quantized."""
    edges = Edges(torch.tensor([[0, 1, 1, 2], [1, 1, 0, 1]]), 4)
    np.testing.assert_allclose(edges.mean_factors, [1, 1 / 3, 1, 1])
    grid, steps = Grid(0.01, -128, 8), np.array([1, 2, 0.5, 1], np.float32)
    plain, scaled = edges.normalised(Grid(1e-4, 0, 8), False, True), edges.normalised(grid, False, True, steps)
    assert (plain.indices == scaled.indices).all()
    unit = edges.normalised(grid, False, True, np.ones(4, np.float32))
    assert scaled.weights is not None
    assert unit.weights is not None
    np.testing.assert_allclose(scaled.weights, unit.weights * steps[scaled.indices], atol=1.5)


def test_folded_weights_have_a_step_for_each_target() -> None:
    """Largest code 255 in each row; code times the target's step is the weight times the source's step."""
    edges = Edges(torch.tensor([[0, 1, 1, 2], [1, 1, 0, 1]]), 4)
    steps = np.array([1, 2, 0.5, 1], np.float32)
    folded = edges.folded(Grid(1.0, -128, 8), False, True, steps)
    *_, own = edges.absorbed(Grid(1.0, -128, 8), False, True, steps)
    source, target, weights = edges.coefficients(False, True)
    plain = from_edges(source, target, 4, weights * steps[source])  # type: ignore[arg-type]
    assert (folded.indices == plain.indices).all()
    assert folded.weights is not None
    assert plain.weights is not None
    row = folded.row_of_entry()
    assert [folded.weights[row == node].max() for node in range(4)] == [255] * 4
    np.testing.assert_allclose(folded.weights * own[row], plain.weights, atol=0.51 * own.max())
    np.testing.assert_allclose(own * 255, [plain.weights[row == node].max() for node in range(4)], rtol=1e-6)


def test_values_of_scores_may_lie_packed() -> None:
    scores = Codes.of(values(9, 8, 2), Grid(0.1, 0, 2))
    assert scores.packed().is_packed
    rule = softmax(2)
    matrix, x = GRAPHS["empty rows"], codes(9, 8)
    same_everywhere(REFERENCE.attend(matrix, x, scores, rule), "attend", matrix, x, scores.packed(), rule)
