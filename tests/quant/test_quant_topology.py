"""Topology index by hand and against distances of a general algorithm; steps of groups and their folding."""

from __future__ import annotations

from copy import deepcopy

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqviz.quant import QType
from dqviz.quant.folded import FoldedQuantizer, NodeQuantizer, target_steps
from dqviz.quant.observers import RunningMinMax
from dqviz.quant.scene import Scene
from dqviz.quant.topology import NO_NODE, Topology, local_wiener, nearest, topology_index
from dqviz.quant.where import Site, Where

SQUARE = torch.tensor([[0, 1, 2, 3, 0, 4], [1, 2, 3, 0, 2, 4]])
"""A square with one diagonal (0 - 2), every edge in one direction, and a node with only a loop."""
pairs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40)


def edges(found: list[tuple[int, int]]) -> torch.Tensor:
    return torch.tensor(found, dtype=torch.long).reshape(-1, 2).t().contiguous()


def shown(edge_index: torch.Tensor, num_nodes: int) -> Topology:
    scene = Scene()
    scene.show(num_nodes, edge_index)
    return Topology(scene)


def test_wiener_by_hand() -> None:
    """Node 0: three neighbours, of which 1-2 and 2-3 are joined: 3 x 1 + 2 x 1 + 1 x 2 = 7; node 1: 1 + 1 + 1."""
    assert local_wiener(SQUARE.numpy(), 5).tolist() == [7, 3, 7, 3, 0]


@given(found=pairs)
def test_wiener_is_the_sum_of_distances_in_the_neighbourhood(found: list[tuple[int, int]]) -> None:
    graph = nx.Graph((a, b) for a, b in found if a != b)
    expected = [
        int(nx.wiener_index(graph.subgraph([v, *graph[v]]))) if v in graph and len(graph[v]) else 0 for v in range(9)
    ]
    assert local_wiener(edges(found).numpy(), 9).tolist() == expected


def test_index_holds_in_degree_first() -> None:
    index = topology_index(SQUARE, 5)
    assert (index >> 32).tolist() == [1, 1, 2, 1, 0]
    assert (index & (2**32 - 1)).tolist() == [7, 3, 7, 3, 0]
    assert torch.equal(topology_index(SQUARE, 5)[[1, 3]], index[[3, 1]])


def test_nearest_by_hand() -> None:
    known = torch.tensor([2, 5, 9])
    assert nearest(known, torch.tensor([0, 2, 3, 4, 7, 8, 20])).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_rows_that_are_no_nodes_have_their_own_index() -> None:
    topology = shown(SQUARE, 5)
    assert topology.index(3).tolist() == [NO_NODE] * 3
    assert torch.equal(topology.index(3, torch.tensor([2, 2, 4])), topology_index(SQUARE, 5)[[2, 2, 4]])


def calibrated(bits: int, signed: bool, x: torch.Tensor) -> NodeQuantizer:
    quantizer = NodeQuantizer(QType(bits, signed), shown(SQUARE, 5)).eval()
    quantizer.state = "observe"
    quantizer(x)
    quantizer.state = "on"
    return quantizer


def test_steps_by_hand() -> None:
    """Groups {4}, {1, 3}, {0}, {2}. diag(S)^-1 X lies in [-0.5, 1]: step 1.5 / 255, zero point -128 + 85."""
    x = torch.tensor([[2.0, -1.0], [1.0, 0.25], [-2.0, 4.0], [-0.5, 0.0], [0.0, 0.0]])
    quantizer = calibrated(8, True, x)
    grid = quantizer.grid(x)
    assert grid is not None
    reach = torch.tensor([2.0, 1.0, 4.0, 1.0, 1.0])  # the two nodes of a group share; a group of zeros has 1
    assert torch.allclose(grid.step[:, 0], reach * 1.5 / 255)
    assert grid.zero.tolist() == -43
    assert ((quantizer(x) - x).abs() <= 0.501 * grid.step).all()


def test_one_sided_values_use_all_codes() -> None:
    x = torch.tensor([[2.0, 1.0], [0.5, 0.25], [4.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
    quantizer = calibrated(2, True, x)
    assert quantizer.shared().zero_point == -2
    assert torch.allclose(quantizer(x)[:, 0], x[:, 0], atol=1 / 5)
    assert quantizer(x).max() == 4


def folded_into(node: NodeQuantizer, bits: int = 8) -> FoldedQuantizer:
    qtype = QType(bits, signed=False)
    folded = FoldedQuantizer(qtype, RunningMinMax(), node.topology, {0: node}).eval()
    folded.where, folded.edges = Where(0, "", Site.NORM), SQUARE
    return folded


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_folded_coefficients_make_an_integer_sum(bits: int) -> None:
    """sum_u a^_vu x^_u is t_v times the integer sum of codes, for every target node; each target uses all codes."""
    torch.manual_seed(0)
    x, weights = torch.randn(5, 4), torch.rand(6)
    sender, target = SQUARE
    node = calibrated(8, True, x)
    folded = folded_into(node, bits)
    out, xq = folded(weights).double(), node(x).double()
    step = node.grid(x).step[:, 0].double()
    t = target_steps(weights * step.float()[sender], target, 5, folded.qtype).double()
    q = (xq / step[:, None]).round()
    a = (out * step[sender] / t[target]).round()
    largest = torch.zeros(5, dtype=torch.double).scatter_reduce(0, target, a, "amax")
    assert set(largest[target].tolist()) == {2**bits - 1}
    sums, whole = torch.zeros(2, 5, 4, dtype=torch.double)
    sums.index_add_(0, target, out[:, None] * xq[sender])
    whole.index_add_(0, target, a[:, None] * q[sender])
    torch.testing.assert_close(sums, whole * t[:, None], rtol=0, atol=1e-6 * sums.abs().max().item())
    assert ((a - weights.double() * step[sender] / t[target]).abs() <= 0.5 + 1e-5).all()
    assert torch.allclose(folded.grid(weights).step[:, 0].double(), t[target] / step[sender])


def test_fold_identity_is_exact() -> None:
    """A X = (A diag(S)) (diag(S)^-1 X) to the bit, where all steps are powers of two and nothing is rounded.

    Groups {0}, {1, 3}, {2}, {4} have steps 4, 1, 0.5, 1 and codes up to 255; the codes of A diag(S) reach 255.
    """
    step = torch.tensor([4.0, 1.0, 0.5, 1.0, 1.0])
    codes = torch.tensor([[255.0, 3.0], [255.0, 0.0], [255.0, 77.0], [128.0, 255.0], [0.0, 255.0]])
    whole = torch.tensor([255.0, 255.0, 255.0, 255.0, 17.0, 255.0])
    x, weights = codes * step[:, None], whole / step[SQUARE[0]]
    node = calibrated(8, True, x)
    assert torch.equal(node.grid(x).step[:, 0], step)
    assert torch.equal(node(x), x)
    assert torch.equal(folded_into(node)(weights), weights)
    product, sums = torch.zeros(2, 5, 2)
    product.index_add_(0, SQUARE[1], weights[:, None] * x[SQUARE[0]])
    sums.index_add_(0, SQUARE[1], whole[:, None] * codes[SQUARE[0]])
    assert torch.equal(product, sums)


def test_steps_of_targets_by_hand() -> None:
    weights, target = torch.tensor([3.0, 1.0, 0.0, 6.0]), torch.tensor([0, 0, 2, 1])
    assert target_steps(weights, target, 4, QType(2)).tolist() == [1, 2, 1, 1]


def test_coefficients_without_steps_to_absorb_are_an_ordinary_site() -> None:
    folded = folded_into(calibrated(8, True, torch.randn(5, 2)))
    folded.edges = None
    weights = torch.rand(6)
    folded.state = "observe"
    folded(weights)
    folded.state = "on"
    assert folded.source is None
    assert folded.grid(weights).is_one
    assert (folded(weights) - weights).abs().max() <= folded.qparams().scale


def test_the_order_of_batches_does_not_matter() -> None:
    found = []
    for order in ((0, 1), (1, 0)):
        node = NodeQuantizer(QType(8), shown(SQUARE, 5)).eval()
        node.state = "observe"
        for turn in order:
            node.topology.scene.show(5, SQUARE if turn else SQUARE[:, 2:])
            node(torch.arange(10.0).view(5, 2) - 3 * turn)
        found.append((node.known.tolist(), node.steps().tolist(), node.shared()))
    assert found[0] == found[1]


def test_an_unknown_neighbourhood_takes_the_nearest() -> None:
    node = calibrated(8, True, torch.arange(1.0, 6.0)[:, None])
    node.topology.scene.show(4, torch.tensor([[1, 2, 3], [0, 0, 0]]))  # in-degree 3: beyond all that were met
    step = node.grid(torch.ones(4, 1)).step[:, 0]
    assert step[0] == node.steps()[-1]
    assert np.isclose(step[1].item(), node.steps()[0].item())


def test_a_state_brings_its_groups_along() -> None:
    node = calibrated(4, True, torch.randn(5, 2))
    other = NodeQuantizer(QType(4), shown(SQUARE, 5)).eval()
    other.load_state_dict(node.state_dict())
    x = torch.randn(5, 2)
    assert torch.equal(other(x), node(x))
    assert torch.equal(deepcopy(node)(x), node(x))
