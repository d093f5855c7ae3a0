"""Grids of rows and channels, and the scene that shows a network its graph."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from quant_examples import observed

from dqviz import methods
from dqviz import nn as archs
from dqviz.data.task import csr
from dqviz.quant import QType, Quantizer, quantize, quantizers
from dqviz.quant.grid import Grid
from dqviz.quant.observers import make_observer
from dqviz.quant.rows import on_rows
from dqviz.quant.scene import Scene

EDGES = torch.tensor([[0, 1, 2, 2], [1, 1, 1, 0]])


def rows_grid(steps: list[float], bits: list[float]) -> Grid:
    """Symmetric grids of rows."""
    step, width = torch.tensor(steps).view(-1, 1), torch.tensor(bits).view(-1, 1)
    high = 2 ** (width - 1) - 1
    return Grid(step, torch.tensor(0.0), -high, high, width)


def test_rows_by_hand() -> None:
    """Steps 1 and 0.5, 2 and 3 bits: -1..1 and -3..3 steps."""
    x = torch.tensor([[0.6, -2.0], [0.6, -2.0]])
    out = on_rows(x, rows_grid([1.0, 0.5], [2, 3]), None)
    assert out.tolist() == [[1.0, -1.0], [0.5, -1.5]]


def test_gradient_passes_straight_through() -> None:
    x = torch.tensor([[0.6, -9.0]], requires_grad=True)
    on_rows(x, rows_grid([1.0], [2]), None).backward(torch.tensor([[3.0, 5.0]]))
    assert x.grad.tolist() == [[3.0, 5.0]]


def test_stored_values_have_the_grid_of_their_row() -> None:
    grid = rows_grid([1.0, 0.5, 2.0], [2, 3, 4]).of_stored(torch.tensor([0, 2, 2, 3]))
    assert grid.step.tolist() == [1.0, 1.0, 2.0]
    assert grid.high.tolist() == [1.0, 1.0, 7.0]
    assert grid.zero.tolist() == 0.0


@given(lo=st.floats(-5, 0), hi=st.floats(0.01, 5), bits=st.sampled_from([2, 4, 8]), signed=st.booleans())
def test_the_one_grid_is_that_of_the_quantizer(lo: float, hi: float, bits: int, signed: bool) -> None:
    quantizer = observed(lo, hi, bits, signed).eval()
    x = torch.linspace(lo, hi, 50).view(10, 5)
    out, grid = quantizer(x), quantizer.grid(x)
    assert grid is not None
    assert grid.is_one
    codes = out / grid.step + grid.zero
    assert torch.allclose(codes, codes.round(), atol=1e-3)
    assert out.min() >= grid.lower - 1e-5
    assert out.max() <= grid.upper + 1e-5
    assert quantizer.mean_bits(x) == bits


def test_a_float_site_has_no_grid_and_32_bits() -> None:
    quantizer = Quantizer(QType(32), make_observer("abs", 32))
    assert quantizer.grid(torch.ones(2, 2)) is None
    assert quantizer.mean_bits(torch.ones(2, 2)) == 32


def test_scene_counts_edges_without_self_loops() -> None:
    scene = Scene()
    assert scene.in_degree.tolist() == []
    scene.show(3, EDGES)
    assert scene.in_degree.tolist() == [1, 2, 0]
    first = scene.in_degree
    scene.show(3, EDGES)
    assert scene.in_degree is first
    scene.show(4, EDGES)
    assert scene.in_degree.tolist() == [1, 2, 0, 0]


def test_every_forward_pass_shows_its_graph_and_a_copy_has_its_own() -> None:
    method = methods.make("qat")
    model = quantize(archs.make("gcn", 2, 2, "node"), method, 4)
    model(torch.ones(3, 2), EDGES)
    assert method.scene.in_degree.tolist() == [1, 2, 0]
    copy = deepcopy(model)
    copy(torch.ones(5, 2), EDGES)
    assert method.scene.num_nodes == 3


def test_features_of_a_pass_are_known_and_not_copied() -> None:
    """CSR features cannot be copied, so a network that has met some must not hold them."""
    method = methods.make("qat")
    model = quantize(archs.make("gcn", 2, 2, "node"), method, 4)
    x = csr(np.array([0, 1, 2, 2]), np.array([0, 1]), np.ones(2, np.float32), (3, 2))
    model(x, EDGES)
    assert method.scene.x is x
    deepcopy(model)
    del x
    assert method.scene.x is None


def test_what_the_run_asks_of_a_site_is_kept() -> None:
    """Also where the method leaves it in float."""
    model = quantize(archs.make("gcn", 2, 2, "node"), methods.make("fp32"), {"default": 4, "aggregate": 8}, "paper")
    asked = {q.key: q.asked for q in quantizers(model)}
    assert asked["0/aggregate"] == 8
    assert asked["0/weight"] == 4
    integer = quantize(archs.make("gcn", 2, 2, "node"), methods.make("qat"), 4, "integer")
    assert {q.key: q.asked for q in quantizers(integer)}["0/aggregate"] == 32
