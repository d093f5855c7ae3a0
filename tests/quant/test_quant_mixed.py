"""Sites that choose their bits: the mixture and its gradients, what they weigh, what they are when they have chosen."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import rows, sparse
from torch import Tensor

from dqviz.quant import QType, Quantizer
from dqviz.quant.mixed import MixedQuantizer, relative_errors, widths_of
from dqviz.quant.observers import make_observer


def mixed(x: Tensor, widths: tuple[int, ...] = (2, 4, 8), by_error: bool = False, name: str = "abs") -> MixedQuantizer:
    """Searching, after one pass of x."""
    quantizer = MixedQuantizer(widths, True, lambda bits: make_observer(name, bits), "ste", by_error)
    quantizer.state = "search"
    quantizer(x)
    return quantizer


def fixed(x: Tensor, bits: int, name: str = "abs") -> Quantizer:
    """The plain quantizer of these bits, after one pass of x."""
    quantizer = Quantizer(QType(bits), make_observer(name, bits))
    quantizer(x)
    return quantizer


def values(seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(30, 4)


@pytest.mark.parametrize(
    ("most", "widths"), [(8, (2, 4, 8)), (4, (2, 4)), (2, (2,)), (6, (2, 4, 6)), (1, (1,)), (16, (2, 4, 8, 16))]
)
def test_the_run_s_bits_are_the_most(most: int, widths: tuple[int, ...]) -> None:
    assert widths_of(most) == widths


def test_the_first_shares_all_but_leave_the_widths_alike() -> None:
    """softmax(softmax(softmax([2, 4, 8]))), by hand."""
    quantizer = mixed(values())
    assert quantizer.theta.softmax(0).tolist() == pytest.approx([0.292, 0.293, 0.416], abs=1e-3)
    assert quantizer.qtype.bits == 8


def test_the_search_gives_the_mixture() -> None:
    x = values()
    quantizer = mixed(x, name="per")
    with torch.no_grad():
        quantizer.theta.copy_(torch.tensor([0.1, 0.7, -0.4]))
    shares = torch.tensor([0.1, 0.7, -0.4]).softmax(0)
    expected = sum(share * fixed(x, bits, "per")(x) for share, bits in zip(shares, (2, 4, 8), strict=True))
    assert torch.allclose(quantizer(x), expected, atol=1e-6)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_gradient_of_theta_against_finite_differences(theta: list[float], seed: int) -> None:
    x = values(seed).double()
    weight = torch.randn(30, 4, dtype=torch.float64)
    quantizer = mixed(x).double()

    def loss(point: Tensor) -> Tensor:
        with torch.no_grad():
            quantizer.theta.copy_(point)
        return (quantizer(x) * weight).sum() + quantizer.expected_bits()

    point = torch.tensor(theta, dtype=torch.float64)
    loss(point).backward()
    found, quantizer.theta.grad = quantizer.theta.grad, None
    assert found is not None
    for index in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[index] = 1e-6
        slope = (loss(point + step).item() - loss(point - step).item()) / 2e-6
        assert found[index].item() == pytest.approx(slope, abs=1e-4 * (1 + abs(slope)))


def test_the_gradient_of_values_passes_as_their_shares_add_up() -> None:
    x = values().requires_grad_()
    mixed(values())(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["abs", "per"])
def test_evaluation_is_the_plain_quantizer_of_the_largest_theta(place: int, name: str) -> None:
    x = values()
    quantizer = mixed(x, name=name)
    with torch.no_grad():
        quantizer.theta[place] = 9.0
    plain = fixed(x, (2, 4, 8)[place], name).eval()
    quantizer.eval()
    assert torch.equal(quantizer(x), plain(x))
    assert (quantizer.qparams(), quantizer.range(), quantizer.qtype) == (plain.qparams(), plain.range(), plain.qtype)
    assert quantizer.mean_bits(x) == (2, 4, 8)[place]


def test_when_the_search_is_over_only_the_chosen_width_observes() -> None:
    quantizer = mixed(values())
    quantizer.state = "on"
    before = quantizer.narrower[0].range()
    out = quantizer(values() * 10)
    assert quantizer.narrower[0].range() == before
    assert quantizer.range() == fixed(values() * 10, 8).range()
    assert not out.requires_grad


def test_errors_by_hand() -> None:
    """3 is left out by the first part, half of 4 by the second: 9 and 4 of 25."""
    x = torch.tensor([3.0, 4.0])
    errors = relative_errors(x, [torch.tensor([0.0, 4.0]), torch.tensor([3.0, 2.0]), x])
    assert errors.tolist() == pytest.approx([9 / 25, 4 / 25, 0])
    assert relative_errors(torch.zeros(2), [torch.zeros(2)]).tolist() == [0]


def test_bits_that_follow_their_error_do_not_follow_the_loss() -> None:
    quantizer = mixed(values(), by_error=True)
    x = values().requires_grad_()
    quantizer(x).square().sum().backward()
    assert quantizer.theta.grad is None
    assert x.grad is not None
    quantizer.expected_error().backward()
    assert quantizer.theta.grad[0] > 0 > quantizer.theta.grad[2], "few bits cost more error"


def test_protected_rows_stay_to_the_bit_and_csr_rows_are_dense_ones() -> None:
    x = rows()
    mask = torch.tensor([True, False] * 6)
    out = mixed(x)(x, mask)
    assert torch.equal(out[mask], x[mask])
    assert torch.equal(mixed(x)(sparse(x), mask).to_dense(), out)
    assert mixed(x)(sparse(x), mask).stored.requires_grad
