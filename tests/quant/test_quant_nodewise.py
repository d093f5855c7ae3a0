"""A2Q's codes by hand: values, gradients of step and bits inside and outside, local error, nearest pairs, columns."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import rows, sparse

from dqviz.quant import QType
from dqviz.quant.nodewise import ColumnQuantizer, NodewiseQuantizer, ReachRows, row_means
from dqviz.quant.passes import Protected
from dqviz.quant.stepped import stepped

X = torch.tensor([[0.4, -1.2, 5.0, -9.0]])
"""With s = 1, b = 3 (codes -3 to 3): codes 0, -1, 3, -3; the last two lie outside."""
GRAD = torch.tensor([[1.0, 2.0, 3.0, 5.0]])


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1).requires_grad_()


def test_values_by_hand() -> None:
    assert stepped(X, leaf(1.0), leaf(3.0), True).tolist() == [[0.0, -1.0, 3.0, -3.0]]
    assert stepped(X, leaf(1.0), leaf(3.4), True).tolist() == [[0.0, -1.0, 3.0, -3.0]], "b is rounded"
    assert stepped(X, leaf(2.0), leaf(3.0), True).tolist() == [[0.0, -2.0, 4.0, -6.0]]
    assert stepped(X, leaf(1.0), leaf(3.0), False).tolist() == [[0.0, 0.0, 3.0, 0.0]], "no sign, no negative codes"


def test_gradients_of_the_loss_by_hand() -> None:
    """ds: q - x/s inside, q outside; db: sign(x) 2^(b-1) ln 2 s outside; dx: nothing outside."""
    x, step, width = X.clone().requires_grad_(), leaf(1.0), leaf(3.0)
    stepped(x, step, width, True).backward(GRAD)
    assert x.grad.tolist() == [[1.0, 2.0, 0.0, 0.0]]
    assert step.grad.item() == pytest.approx(1 * (0 - 0.4) + 2 * (-1 + 1.2) + 3 * 3 + 5 * -3, abs=1e-5)
    assert width.grad.item() == pytest.approx((3 - 5) * 4 * math.log(2), abs=1e-5)


def test_without_a_sign_the_lower_end_gives_no_gradient() -> None:
    x, step, width = torch.tensor([[-1.0, 0.6, 9.0]]).requires_grad_(), leaf(1.0), leaf(3.0)
    stepped(x, step, width, False).backward(torch.ones(1, 3))
    assert x.grad.tolist() == [[0.0, 1.0, 0.0]]
    assert step.grad.item() == pytest.approx(1 - 0.6 + 3)
    assert width.grad.item() == pytest.approx(4 * math.log(2))


values = st.lists(st.floats(-20, 20, width=32), min_size=6, max_size=6)


@given(values, st.floats(0.125, 3, width=32), st.integers(2, 8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_local_gradient_is_that_of_the_rows_own_error(x: list[float], s: float, b: int, signed: bool) -> None:
    """Against autograd of E = (1/d) ||x^ - x||_1 with x constant, straight through the rounding."""
    data = (torch.tensor(x) if signed else torch.tensor(x).abs()).view(2, 3)
    step, width = leaf(s, 2 * s), leaf(b, b)
    stepped(data.requires_grad_(), step, width, signed, local=True, count=3).backward(torch.randn(2, 3))
    s2, b2 = leaf(s, 2 * s), leaf(b, b)
    fixed = data.detach()
    top = torch.exp2(b2 - 1) - 1
    ratio = fixed / s2
    codes = ratio + ((fixed * (1 / s2)).round() - ratio).detach()
    inside = (fixed / s2.detach()).abs() <= top.detach()
    quantized = torch.where(inside, codes, fixed.sign() * top) * s2
    # sign(0) is 0 in both; a value whose error is rounding noise alone has either sign
    clear = (quantized - fixed).detach().abs() > 1e-5 * s
    if not (clear | ((quantized - fixed) == 0)).all():
        return
    (quantized - fixed).abs().sum().div(3).backward()
    torch.testing.assert_close(step.grad, s2.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(width.grad, b2.grad, rtol=1e-4, atol=1e-4)


def test_the_local_gradient_takes_no_notice_of_the_loss() -> None:
    found = []
    for grad in (GRAD, torch.zeros_like(GRAD)):
        x, step, width = X.clone().requires_grad_(), leaf(1.0), leaf(3.0)
        stepped(x, step, width, True, local=True, count=4).backward(grad)
        assert x.grad.tolist() == [[grad[0, 0].item(), grad[0, 1].item(), 0.0, 0.0]]
        found.append((step.grad.item(), width.grad.item()))
    assert found[0] == found[1]
    signs = [-1, 1, -1, 1]  # of x^ - x: 0 - 0.4, -1 + 1.2, 3 - 5, -3 + 9
    steps = [0 - 0.4, -1 + 1.2, 3, -3]
    assert found[0][0] == pytest.approx(sum(a * b for a, b in zip(signs, steps, strict=True)) / 4)
    assert found[0][1] == pytest.approx((-1 * 1 + 1 * -1) * 4 * math.log(2) / 4)


def test_protected_rows_stay_and_teach_nothing() -> None:
    x = torch.cat([X, X]).requires_grad_()
    step, width = leaf(1.0, 1.0), leaf(3.0, 3.0)
    protected = Protected(torch.tensor([True, False]))
    out = stepped(x, step, width, True, protected)
    out.backward(torch.cat([GRAD, GRAD]))
    assert torch.equal(out[0], X[0])
    assert torch.equal(x.grad[0], GRAD[0])
    assert (step.grad[0].item(), width.grad[0].item()) == (0, 0)
    assert step.grad[1].item() != 0


def nodes(x: torch.Tensor, bits: int = 4, local: bool = True, pairs: int = 0) -> NodewiseQuantizer:
    """In training, after the first batch x; `pairs`: rows choose among so many."""
    quantizer = NodewiseQuantizer(QType(bits), pairs or x.size(0), pairs == 0, local)
    quantizer(x)
    return quantizer


@pytest.mark.parametrize("signed", [True, False])
def test_first_steps_and_bits(signed: bool) -> None:
    """2 mean|x| / sqrt(largest code) of each row; codes begin with the run's bits, a sign among them where there is."""
    x = torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 0.0], [4.0, -4.0 if signed else 4.0, 4.0]])
    quantizer = nodes(x)
    top = 7 if signed else 15
    assert quantizer.signed == signed
    expected = [2 * 2 / math.sqrt(top), 2 * 2 / math.sqrt(top), 2 * 4 / math.sqrt(top)]  # zeros: the lower median
    assert quantizer.steps().tolist() == pytest.approx(expected)
    grid = quantizer.grid(x)
    assert grid.bits.flatten().tolist() == [4, 4, 4]
    assert grid.high.flatten().tolist() == [top] * 3
    assert grid.low.flatten().tolist() == [-top if signed else 0] * 3
    quantizer(9 * x)
    assert quantizer.steps().tolist() == pytest.approx(expected), "only the first batch counts"


@pytest.mark.parametrize("signed", [True, False])
def test_bits_stay_between_1_and_8(signed: bool) -> None:
    x = rows(zeros=0.2) - (0.5 if signed else 0)
    quantizer = nodes(x)
    for pushed in (-1e3, 1e3):
        quantizer.width.data.fill_(pushed)
        evaluated = quantizer.eval()(x)  # right after a step, before the next batch
        assert torch.equal(evaluated, quantizer.train()(x))
        bits = quantizer.grid(x).bits
        assert (bits == ((2 if signed else 1) if pushed < 0 else 8)).all()
        assert quantizer.mean_bits(x) == bits.mean()
        assert quantizer(x).isfinite().all()


def test_a_node_takes_the_nearest_pair() -> None:
    """Pairs reach s 2^(b-1) = 4, 1, 8, 16; rows reach 5, 0.2, 13, 1.9, 100."""
    x = torch.tensor([[5.0, -1.0], [0.1, 0.2], [-13.0, 3.0], [1.9, 0.0], [100.0, 0.0]])
    quantizer = nodes(x, pairs=4, local=False)
    quantizer.step.data = torch.tensor([1.0, 0.5, 1.0, -2.0])
    quantizer.width.data = torch.tensor([3.0, 2.2, 4.0, 4.0])
    step, _ = quantizer.rows(x, None)
    assert quantizer.chosen.tolist() == [0, 1, 3, 1, 3]
    assert step.tolist() == [1.0, 0.5, 2.0, 0.5, 2.0]
    assert quantizer.total_width().item() == pytest.approx(3.0 + 2.2 + 4.0), "each chosen pair once"
    for i, value in enumerate(x.abs().amax(1).tolist()):
        reaches = [4.0, 1.0, 8.0, 16.0]
        assert quantizer.chosen[i] == min(range(4), key=lambda k: (value - reaches[k]) ** 2)
    quantizer(x).sum().backward()
    assert (quantizer.step.grad != 0).tolist() == [True, True, False, True]


def test_other_graphs_choose_among_the_nodes_that_were_trained() -> None:
    x = rows(zeros=0.2)
    quantizer = nodes(x).eval()
    assert torch.equal(quantizer.rows(x, None)[0], quantizer.steps())
    fewer = quantizer.grid(x[:5])
    assert fewer.step.shape == (5, 1)
    assert set(fewer.step.flatten().tolist()) <= set(quantizer.steps().tolist())


@pytest.mark.parametrize("local", [True, False])
def test_csr_rows_are_as_dense_ones(local: bool) -> None:
    x = rows()
    found = []
    for values in (x, sparse(x)):
        quantizer = nodes(values, local=local)
        out = quantizer(values)
        dense = out.to_dense() if values.layout == torch.sparse_csr else out
        stored = out.stored if values.layout == torch.sparse_csr else out[x != 0]
        (stored * torch.arange(1.0, stored.numel() + 1)).sum().backward()
        found.append((dense.detach(), quantizer.step.grad, quantizer.grid(values).step))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][2], found[1][2])
    # the local gradient is a mean: over all channels of a row, or over those stored
    share = (x != 0).sum(1).clamp(min=1) / 5 if local else torch.ones(12)
    torch.testing.assert_close(found[0][1], found[1][1] * share, rtol=1e-4, atol=1e-4)


def test_states_round_trip() -> None:
    x = rows(zeros=0.2) - 0.4
    quantizer = nodes(x)
    quantizer.step.data *= 1.1
    other = NodewiseQuantizer(QType(4), 12, True, True)
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other.eval()(x), quantizer.eval()(x))
    assert other.range() == quantizer.range()
    assert other.qparams() == quantizer.qparams()
    other.train()(9 * x)
    assert torch.equal(other.step, quantizer.step), "the first batch was seen"


@pytest.mark.parametrize("axis", [0, 1])
def test_columns_have_steps(axis: int) -> None:
    """First steps by hand; gradients of the loss are sums over a column, of the error means."""
    x = torch.tensor([[1.0, -2.0], [3.0, 0.0], [0.0, 4.0]])
    x = x.t().contiguous() if axis == 0 else x
    quantizer = ColumnQuantizer(QType(4), axis, local=False)
    quantizer.fit(2)
    out = quantizer(x)
    first = [2 * 2 / math.sqrt(7), 2 * 3 / math.sqrt(7)]
    assert quantizer.steps().flatten().tolist() == pytest.approx(first)
    out.backward(torch.ones_like(x))
    columns = x if axis == 1 else x.t()
    expected = [sum((v / s).round() - v / s for v in column) for column, s in zip(columns.t(), first, strict=True)]
    assert quantizer.step.grad.flatten().tolist() == pytest.approx([float(v) for v in expected], abs=1e-5)
    quantizer.local, quantizer.step.grad = True, None
    quantizer(x).backward(torch.full_like(x, 7.0))
    expected = [sum(abs((v / s).round() - v / s) for v in c) / 3 for c, s in zip(columns.t(), first, strict=True)]
    assert quantizer.step.grad.flatten().tolist() == pytest.approx([float(v) for v in expected], abs=1e-5)
    assert quantizer.grid(x).step.shape == ((2, 1) if axis == 0 else (1, 2))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rows_of_words_are_exact(bits: int) -> None:
    """A row of zeros and one other value, as row-normalised bags of words are: exact with a single bit."""
    x = (rows(zeros=0.5) > 0) * torch.rand(12, 1)
    quantizer = ReachRows(QType(bits))
    for values in (x, sparse(x)):
        out = quantizer(values)
        dense = out.to_dense() if values.layout == torch.sparse_csr else out
        torch.testing.assert_close(dense, x, rtol=2e-7, atol=0)
        assert (quantizer.grid(values).bits == bits).all()


def test_row_means_leave_zeros_out() -> None:
    x = torch.tensor([[1.0, 0.0, -3.0], [0.0, 0.0, 0.0]])
    assert row_means(x, None).tolist() == [2.0, 0.0]
    dense = sparse(x)
    assert row_means(dense.values(), dense.crow_indices()).tolist() == [2.0, 0.0]
