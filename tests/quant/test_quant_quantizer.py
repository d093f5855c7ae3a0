"""One quantizer: states, protection, CSR rows beside dense ones, the recorder."""

from __future__ import annotations

import pytest
import torch
from quant_examples import fresh, observed, rows, sparse

MASK = torch.tensor([True, False] * 6)


def test_states() -> None:
    x = torch.tensor([[0.1, 0.9], [0.3, -0.7]])
    quantizer = fresh(bits=4)
    quantizer.state = "off"
    assert quantizer(x) is x
    assert not quantizer.observer.seen
    quantizer.state = "observe"
    assert quantizer.eval()(x) is x
    assert quantizer.observer.range() == pytest.approx((-0.7, 0.9))
    quantizer.state = "on"
    assert not torch.equal(quantizer(x), x)
    quantizer(x * 2)
    assert quantizer.observer.range() == pytest.approx((-0.7, 0.9)), "evaluation does not observe"
    quantizer.train()(x * 2)
    assert quantizer.observer.range() == pytest.approx((-1.4, 1.8))


def test_32_bits_pass_values_untouched() -> None:
    x = rows()
    quantizer = fresh(bits=32)
    assert quantizer(x) is x
    assert not quantizer.observer.seen


@pytest.mark.parametrize("observer", ["abs", "mom", "per"])
def test_protected_rows_are_untouched_and_unobserved(observer: str) -> None:
    x = rows(zeros=0.0)
    x[MASK] *= 1000
    quantizer, other = fresh(observer, 4), fresh(observer, 4)
    out = quantizer(x, MASK)
    assert torch.equal(out[MASK], x[MASK])
    assert quantizer.observer.range()[1] <= x[~MASK].max()
    assert torch.equal(out[~MASK], other(x[~MASK])), "the others are quantized as if they were alone"


def test_gradients_pass_protected_rows_and_stop_at_extreme_codes() -> None:
    quantizer = observed(-8, 7, 4, gradient="gc")
    x = torch.tensor([[100.0], [100.0], [0.0]], requires_grad=True)
    quantizer(x, torch.tensor([True, False, False])).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1, 0, 1]


def test_protection_spreads_over_heads() -> None:
    x = torch.rand(12, 2, 3)
    out = fresh(bits=2)(x, MASK)
    assert torch.equal(out[MASK], x[MASK])
    assert not torch.equal(out[~MASK], x[~MASK])


@pytest.mark.parametrize("protected", [None, MASK])
@pytest.mark.parametrize("observer", ["abs", "mom", "per"])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_csr_rows_as_dense_ones(protected: torch.Tensor | None, observer: str, bits: int, signed: bool) -> None:
    dense, thin = fresh(observer, bits, signed), fresh(observer, bits, signed)
    for seed in range(3):
        x = rows(seed=seed)
        out = thin(sparse(x), protected)
        assert out.layout == torch.sparse_csr
        assert torch.equal(out.to_dense(), dense(x, protected))
        assert thin.qparams() == dense.qparams()


def test_recorder_sees_what_comes_and_what_leaves() -> None:
    seen = []
    quantizer = observed(-1, 1, 2)
    quantizer.recorder = lambda *what: seen.append(what)
    x, node = torch.tensor([[0.4]]), torch.tensor([7])
    out = quantizer(x, node=node)
    assert seen[0][0] is quantizer
    assert seen[0][1] is x
    assert seen[0][2] is out
    assert seen[0][3] is node
    quantizer.state = "off"
    quantizer(x)
    assert seen[1][2] is x
