"""Smoothness by layer: golden energies of a path, the quadratic form, and the table of finished runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jobs_runs import spec
from torch import Tensor

from dqviz.jobs import network
from dqviz.jobs.smoothness import energy, measured, normalised, smoothness
from dqviz.nn.smp import START
from dqviz.runs import artifacts
from dqviz.runs.rows import RunRow
from dqviz.training import trace
from dqviz.training.batches import whole_graph

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
"""0 - 1 - 2: degrees with self-loops 2, 3, 2."""
ROOTS = np.sqrt([[2.0], [3.0], [2.0]])


def test_a_signal_that_holds_nothing_but_the_degree_has_no_energy() -> None:
    assert energy(5 * ROOTS, normalised(PATH, 3)) == 0


def test_energy_of_a_path_by_hand() -> None:
    """x = (1, 0, 0): L_00 = 1 - 1/2. x = (1, 0, -1): 1/2 + 1/2, nothing between the ends. A constant 1 is not smooth:
    1/2 + 2/3 + 1/2 - 4/sqrt(6)."""
    around = normalised(PATH, 3)
    assert energy(np.array([[1.0], [0.0], [0.0]]), around) == pytest.approx(0.5)
    assert energy(np.array([[1.0], [0.0], [-1.0]]), around) == pytest.approx(1.0)
    assert energy(np.ones((3, 1)), around) == pytest.approx(5 / 3 - 4 / np.sqrt(6))


def test_a_row_by_hand() -> None:
    own, twin, before = (
        np.array(rows) for rows in ([[1.0], [0.0], [0.0]], [[1.0], [0.0], [2.0]], [[0.0], [0.0], [2.0]])
    )
    row = measured(own, twin, before, normalised(PATH, 3))
    assert row["squares"] == 1
    assert row["squares_twin"] == 5
    assert row["change"] == pytest.approx(5 / 4)
    assert row["change_energy"] == pytest.approx(0.5 + 4 * 0.5), "the change is (1, 0, -2); 0 and 2 are no neighbours"
    assert row["layer_error"] == pytest.approx(2 / np.sqrt(5))


def test_nothing_to_compare_with_is_nan() -> None:
    zero, wide = np.zeros((3, 1)), np.ones((3, 2))
    assert np.isnan(measured(zero, zero, None, normalised(PATH, 3))["layer_error"])
    assert np.isnan(measured(zero, zero, zero, normalised(PATH, 3))["change"])
    assert np.isnan(measured(zero, zero, wide, normalised(PATH, 3))["change_energy"])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Tensor]:
    """(num_nodes, edge_index) with every edge both ways; isolated nodes among them."""
    nodes = draw(st.integers(1, 8))
    pairs = [(a, b) for a in range(nodes) for b in range(a)]
    some = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    edges = [edge for a, b in some for edge in ((a, b), (b, a))]
    return nodes, torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T


@given(graphs(), st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_energy_is_half_the_sum_over_edges_and_between_0_and_2(
    graph: tuple[int, Tensor], seed: int, size: float
) -> None:
    nodes, edges = graph
    rows = size * np.random.default_rng(seed).standard_normal((nodes, 2))
    found = energy(rows, normalised(edges, nodes))
    degree = np.bincount(edges[1].numpy(), minlength=nodes) + 1
    even = rows / np.sqrt(degree)[:, None]
    by_edges = 0.5 * ((even[edges[0]] - even[edges[1]]) ** 2).sum()
    squares = (rows**2).sum()
    assert found == pytest.approx(by_edges, rel=1e-9, abs=1e-11 * squares)
    assert 0 <= found <= 2 * squares * (1 + 1e-9)


@pytest.mark.parametrize(("arch", "steps"), [("gcn", 3), ("appnp", 3), ("smp", 3)])
def test_a_finished_run_has_a_row_a_step(run: Callable[..., RunRow], arch: str, steps: int) -> None:
    row = run(arch, "qat", arch_settings={"layers": steps}, bits=2)
    table = artifacts.read_table(row.folder, "smoothness")
    assert table["step"].tolist() == list(range(1, steps + 1))
    assert (table["energy"] >= 0).all()
    assert (table["energy"] <= 2 * table["squares"]).all()
    output = artifacts.read_table(row.folder, "nodes")["output|accumulated"]
    assert (table["layer_error"].iloc[-1] > 0) == (output.max() > 0)
    assert table["multiplier"].notna().all() == (arch == "smp")


def test_full_precision_is_its_own_twin(run: Callable[..., RunRow]) -> None:
    table = artifacts.read_table(run("smp", "fp32", arch_settings={"layers": 3}).folder, "smoothness")
    np.testing.assert_array_equal(table["energy"], table["energy_twin"])
    assert (table["layer_error"] == 0).all()
    assert table["change"].isna().tolist() == [True, False, False]


def test_a_step_of_smp_is_what_leaves_its_second_layer() -> None:
    """The last step's rows are the logits, and the multipliers are the network's."""
    net = network.build(spec("smp", "ptq", arch_settings={"layers": 3}))
    batch = whole_graph(net.task, "test")
    logits, twin_logits, traced = trace(net.model, batch)
    table = smoothness(net.model, traced, batch)
    assert len(table) == 3
    assert table["squares"].iloc[-1] == pytest.approx((logits.double() ** 2).sum().item())
    assert table["squares_twin"].iloc[-1] == pytest.approx((twin_logits.double() ** 2).sum().item())
    np.testing.assert_allclose(table["multiplier"], START)


@pytest.mark.parametrize("method", ["fp32", "qat"])
def test_a_gcn_of_64_layers_trains_and_is_told_of(run: Callable[..., RunRow], method: str) -> None:
    """Whatever it learns: that it collapses is the finding."""
    row = run("gcn", method, arch_settings={"layers": 64}, bits=2)
    table = artifacts.read_table(row.folder, "smoothness")
    assert len(table) == 64
    assert np.isfinite(table["energy"]).all()
