"""Codewords by hand: assignment, running means, whitening, what the outside looks like, idle codewords."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dqviz.quant.codebook import WIDTH, Codebook, branches, joined, nearest
from dqviz.quant.part import Divided
from dqviz.quant.scene import Scene

NODES = 5
EDGES = torch.tensor([[0, 1, 2, 3, 4, 4], [1, 0, 1, 2, 0, 4]])


def book(size: int = 2, channels: int = 4, decay: float = 0.5, patience: int = 9) -> Codebook:
    scene = Scene()
    scene.show(NODES, EDGES)
    made = Codebook(scene, size, decay, 0.25, patience)
    made.fit(channels)
    return made


def unwhitened(made: Codebook, codewords: list[list[float]]) -> Codebook:
    """Codewords [M, 8] of the first branch, mean 0, variance 1 and no memory of either."""
    made.codewords[0] = torch.tensor(codewords)
    made.var.fill_(1.0)
    made.momentum = 0.0
    made.seen.fill_(True)
    return made


def rows(*values: float) -> Tensor:
    """One row a value, the same in all 4 channels."""
    return torch.tensor(values)[:, None].expand(-1, WIDTH).contiguous()


def test_nearest_by_hand_and_the_lowest_of_equals() -> None:
    codewords = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]]])
    values = torch.tensor([[[0.9, 0.0], [1.1, 5.0], [1.0, 0.0]]])
    assert nearest(values, codewords).tolist() == [[0, 1, 0]]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 30), st.integers(0, 99))
def test_nearest_is_nearest(count: int, size: int, channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = branches(torch.randn(count, channels, generator=generator))
    codewords = torch.randn(values.size(0), size, WIDTH, generator=generator)
    distance = (values[:, :, None] - codewords[:, None]).square().sum(3)
    found = distance.gather(2, nearest(values, codewords)[..., None])[..., 0]
    assert torch.allclose(found, distance.amin(2), atol=1e-5)


@given(st.integers(1, 6), st.integers(1, 11))
def test_branches_and_back(count: int, channels: int) -> None:
    x = torch.randn(count, channels)
    cut = branches(x)
    assert cut.shape == (-(-channels // WIDTH), count, WIDTH)
    assert torch.equal(joined(cut, channels), x)


def test_running_means_by_hand() -> None:
    """d = 0.5. Codeword 0 (N = 4) meets rows 1 and 2: N = 0.5*4 + 0.5*2 = 3, c = (2*0 + 0.5*3) / 3 = 0.5."""
    made = unwhitened(book(), [[0.0] * 8, [10.0] * 8])
    made.counts[0] = torch.tensor([4.0, 1.0])
    made.learn(rows(1.0, 2.0), rows(1.0, 2.0), torch.tensor([3, 1]))
    assert made.counts.tolist() == [[3.0, 0.5]]
    assert made.codewords[0, 0].tolist() == pytest.approx([0.5] * 8)
    assert made.codewords[0, 1].tolist() == [10.0] * 8
    assert made.assigned.tolist() == [[2, 0, 2, 0, 2]]  # 2 stands for a node that was not met yet
    assert made.idle.tolist() == [[0, 1]]


def test_gradients_tell_rows_apart() -> None:
    """Row 0 twice; whoever has gradient 5 belongs to the codeword that says so."""
    made = unwhitened(book(), [[0.0] * 8, [1.0] * 4 + [5.0] * 4])
    made.learn(rows(0.0, 0.0), rows(0.0, 5.0), torch.tensor([0, 1]))
    assert made.assigned[0, :2].tolist() == [0, 1]


def test_whitening_by_hand() -> None:
    """Rows 1 and 3: mean 2, variance 1; then rows 4 and 8, mean 6, variance 4, with momentum 0.25."""
    made = book()
    made.learn(rows(1.0, 3.0), rows(0.0, 0.0))
    assert made.mean[0].tolist() == [2.0] * 4 + [0.0] * 4
    assert made.var[0].tolist() == [1.0] * 4 + [0.0] * 4
    assert made.scale[0, 0].tolist() == [1.0] * 8
    assert sorted(made.codewords[0, :, 0].tolist()) == [-1.0, 1.0]
    made.learn(rows(4.0, 8.0), rows(0.0, 0.0))
    assert made.mean[0, 0].item() == 3.0
    assert made.var[0, 0].item() == 1.75
    assert made.scale[0, 0, 0].item() == pytest.approx(math.sqrt(1.75))


def test_rows_leave_as_codewords_and_gradients_pass() -> None:
    made = unwhitened(book(), [[0.0] * 8, [10.0] * 4 + [77.0] * 4]).eval()
    x = rows(4.0, 6.0).requires_grad_()
    out = made(x)
    assert out.tolist() == rows(0.0, 10.0).tolist()
    out.backward(rows(3.0, 5.0))
    assert torch.equal(x.grad, rows(3.0, 5.0))
    assert made(rows(4.0, 6.0), torch.tensor([True, False])).tolist() == rows(4.0, 10.0).tolist()
    assert made.range() == (0.0, 10.0)
    made.state = "off"
    assert made(x) is x


def test_before_anything_was_learned_rows_pass() -> None:
    x = rows(1.0, 2.0)
    assert book()(x) is x


def test_calibration_learns_features_only() -> None:
    made = book()
    made.state = "observe"
    x = rows(1.0, 3.0)
    assert made.eval()(x) is x
    made.state = "on"
    assert torch.allclose(made(x), x)


def test_outside_is_what_nodes_were_last_assigned() -> None:
    made = unwhitened(book(), [[1.0] * 4 + [2.0] * 4, [3.0] * 4 + [4.0] * 4])
    made.assigned[0] = torch.tensor([2, 1, 2, 0, 2])
    made.mean.fill_(0.5)
    part = Divided(EDGES, NODES).part(torch.tensor([0, 2]))
    assert part.outside.tolist() == [1, 3, 4]
    features, gradients = made.outside(part)
    assert features.tolist() == rows(3.5, 1.5, 0.5).tolist()
    assert gradients.tolist() == rows(4.5, 2.5, 0.5).tolist()


def test_idle_codewords_start_again_and_no_others() -> None:
    made = unwhitened(book(patience=2), [[0.0] * 8, [10.0] * 8])
    for _ in range(2):
        made.learn(rows(1.0, 1.0), rows(0.0, 0.0))
        assert made.codewords[0, 1].tolist() == [10.0] * 8
    made.learn(rows(1.0, 1.0), rows(0.0, 0.0))
    assert made.codewords[0, 1].tolist() == [1.0] * 4 + [0.0] * 4
    assert made.idle.tolist() == [[0, 0]]


def test_bits_by_hand() -> None:
    """10 rows of 7 channels are 2 branches: 2 (10 log2 16 + 16 * 4 * 32) bits for 70 values."""
    made = book(size=16, channels=7)
    assert made.mean_bits(torch.zeros(10, 7)) == pytest.approx(2 * (10 * 4 + 16 * 4 * 32) / 70)
    assert made.qtype.bits == 1
    assert made.grid(torch.zeros(10, 7)) is None


def test_a_part_by_hand() -> None:
    """Nodes 4 and 1: 0 and 2 send to 1; 1 and 4 send to 0; 4 sends to itself."""
    part = Divided(EDGES, NODES).part(torch.tensor([4, 1]))
    assert part.outside.tolist() == [0, 2]
    assert part.edge_index.t().tolist() == [[2, 1], [3, 1], [0, 0]]
    assert part.leaving.t().tolist() == [[1, 0], [0, 0]]
    assert part.degree.tolist() == [0, 2, 2, 1]
    assert part.received.tolist() == [1, 2, 2, 1]
    edges, norm = part.normalised
    assert edges.t().tolist() == [[2, 1], [3, 1], [0, 0], [1, 1]]
    assert norm.tolist() == pytest.approx([1 / 3, 1 / math.sqrt(6), 1.0, 1 / 3])
