"""Integer runs of A2Q: rows with steps and bits of their own, columns with steps, all to the bit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from contract_graphs import GRAPHS, values
from torch import Tensor
from trained_models import doubled, edges_of
from variants import REFERENCE, same_everywhere, small_work_is_shared_too

from dqviz import integer, methods
from dqviz import nn as archs
from dqviz.data.task import csr
from dqviz.errors import Unavailable
from dqviz.integer.codes import Codes, Grid
from dqviz.integer.epilogue import Requantize
from dqviz.integer.graph import features_of
from dqviz.integer.kernels.reference import densify
from dqviz.integer.rows import row_codes
from dqviz.integer.weight import weight_of
from dqviz.jobs import network
from dqviz.jobs.network import Network
from dqviz.quant import quantize, quantizers
from dqviz.quant.nodewise import NodewiseQuantizer
from dqviz.spec import Optimizer, RunSpec
from dqviz.training import train
from dqviz.training.batches import Batch, whole_graph
from dqviz.training.trace import record

__all__ = ["small_work_is_shared_too"]


@cache
def trained(arch: str, epochs: int, bits: int = 4, sites: str = "all") -> Network:
    """A2Q on Cora with 0/1 features, with the settings of its authors."""
    spec = RunSpec(dataset="cora", dataset_settings={"row_normalize": False}, arch=arch,
                   arch_settings={"dropout": 0.35}, method="a2q", method_settings={"sites": sites}, bits=bits,
                   profile="integer", seed=1000, epochs=epochs, optimizer=Optimizer(weight_decay=0.02))  # fmt: skip
    net = network.build(spec)
    train(net.model, net.task, net.method, spec.optimizer, epochs)
    return net


def untrained(arch: str, kind: Any, x: Tensor, edge_index: Tensor, *group: Tensor, sites: str = "all") -> Any:
    """A2Q that has seen x three times in training mode, its pairs unlike each other."""
    torch.manual_seed(0)
    method = methods.make("a2q", {"sites": sites, "pairs": 20})
    if kind == "node":
        method.scene.show(len(x), edge_index)
    model = quantize(archs.make(arch, x.size(1), 3, kind, {"hidden": 13, "dropout": 0.0}), method, 4, "integer")
    with torch.no_grad():
        for _ in range(3):
            model.train()(x, edge_index, *group)
        for q in quantizers(model):
            if isinstance(q, NodewiseQuantizer):
                q.width.copy_(torch.linspace(2, q.most_width, q.width.numel()))
    return model.eval()


def binary(rows: int) -> Tensor:
    return (torch.rand(rows, 11, generator=torch.Generator().manual_seed(0)) > 0.6).float()


def executed(model: Any, x: Tensor, edge_index: Tensor, *group: Tensor) -> tuple[Any, Any]:
    """(session, frame) of the reference, whose logits every other backend gives to the bit, also a second time."""
    program = integer.plan(model)
    session = integer.Session(program, "reference")
    frame = session.frame(features_of(x), session.prepare(edge_index, x.size(0), *group))
    logits = torch.from_numpy(session.execute(frame))
    for name in ("numba", "native"):
        other = integer.Session(program, name, 2)
        again = other.frame(features_of(x), other.prepare(edge_index, x.size(0), *group))
        assert torch.equal(torch.from_numpy(other.execute(again).copy()), logits), name
        assert torch.equal(torch.from_numpy(other.execute(again)), logits), name
    return session, frame


def compared(session: Any, frame: Any, model: Any, batch: Batch) -> tuple[float, dict[str, tuple[int, int, int]]]:
    """Share of rows of the same class as in float64; by operation codes that differ, codes, largest difference."""
    with torch.no_grad():
        model(*batch.inputs)  # GCN: `doubled` keeps the normalisation of float32
    fake, seen = record(doubled(model), replace(batch, x=batch.x.double()))
    found = {}
    for op in session.plan.ops:
        value = frame.values[op.target]
        if op.out is None:
            continue
        real = seen[op.out.key].xq.to_dense().numpy()
        centred = densify(value.matrix) if hasattr(value, "matrix") else value.values - float(value.params.zero_point)
        difference = np.rint(real / value.params.real_steps) - centred
        found[op.name] = int((difference != 0).sum()), difference.size, int(np.abs(difference).max())
    same = torch.from_numpy(frame.values["logits"]).argmax(1) == fake.argmax(1)
    return same.double().mean().item(), found


@pytest.mark.parametrize(("arch", "epochs", "bits"), [("gcn", 40, 4), ("gcn", 10, 2), ("gcn", 10, 8), ("gin", 20, 4)])
def test_a_trained_network_predicts_what_the_fake_quantized_one_predicts(arch: str, epochs: int, bits: int) -> None:
    net = trained(arch, epochs, bits)
    graph = net.task.graphs[0]
    session, frame = executed(net.model, graph.x, graph.edge_index)
    agree, steps = compared(session, frame, net.model, whole_graph(net.task, "val"))
    print(f"\ncora {arch} A2Q INT{bits}: same class {agree:.4%}; differing codes, codes, largest difference: {steps}")
    assert agree >= 0.999
    assert len(steps) >= 4
    assert all(largest <= 1 for _, _, largest in steps.values())
    assert all(count <= 0.0005 * size for count, size, _ in steps.values())


@pytest.mark.parametrize("arch", ["gcn", "gin"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_equals_the_reference_on_every_contract_graph(arch: str, graph: str) -> None:
    """Widths of rows run from 1 to 8 bits; sparse features give what dense ones give."""
    edge_index, rows = edges_of(GRAPHS[graph]), GRAPHS[graph].num_rows
    x = binary(rows)
    model = untrained(arch, "node", x, edge_index)
    session, frame = executed(model, x, edge_index)
    row, column = (np.ascontiguousarray(place) for place in x.numpy().nonzero())
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    sparse = csr(ptr, column, x.numpy()[row, column], tuple(x.shape))
    _, other = executed(model, sparse, edge_index)
    np.testing.assert_array_equal(other.values["logits"], frame.values["logits"])
    agree, steps = compared(session, frame, model, Batch(x, edge_index, None, torch.zeros(0), torch.zeros(0)))
    assert agree >= 0.99
    assert all(largest <= 1 for _, _, largest in steps.values())


def test_rows_of_another_graph_take_the_nearest_pair() -> None:
    x, edge_index = binary(301), edges_of(GRAPHS["hub"])
    model = untrained("gcn", "node", x, edge_index)
    fewer = edge_index[:, (edge_index < 200).all(0)].contiguous()
    found = integer.Session(integer.plan(model), "reference").run(x[:200], fewer)
    model.convs[0]._cached_edge_index = model.convs[1]._cached_edge_index = None
    with torch.no_grad():
        expected = model(x[:200], fewer)
    assert (found.argmax(1) == expected.argmax(1)).double().mean() >= 0.99


def test_codes_of_rows_by_hand() -> None:
    """Row 0: step 0.5 and codes 0 ... 3; row 1: step 2 and codes 0 ... 255. Half steps go to the even code."""
    y = np.array([[0.25, 0.75, 9.0], [1.0, 3.0, 1000.0]])
    step, top = np.array([0.5, 2.0], np.float32), np.array([3, 255], np.float32)
    found = row_codes(y, step, top, Grid(1.0, -128, 8))
    np.testing.assert_array_equal(found.astype(int) + 128, [[0, 2, 3], [0, 2, 255]])
    signed = row_codes(np.array([[-9.0, 9.0, 0.6]]), np.ones(1, np.float32), np.ones(1, np.float32), Grid(1.0, 0, 2))
    np.testing.assert_array_equal(signed, [[-1, 1, 1]])


@pytest.mark.parametrize("bits", range(2, 9))
def test_dense_products_of_codes_of_every_width(bits: int) -> None:
    """Of 5 to 7 bits the codes lie as bytes."""
    x = Codes.of(values(40, 70, bits, 2), Grid(1.0, -(1 << (bits - 1)), bits))
    weight = weight_of(values(70, 33, 4, 1), Grid(1.0, 0, 4))
    symmetric = Requantize(np.full(33, 0.01), np.zeros(33), False, Grid(1.0, 0, 4, symmetric=True))
    for epilogue in (None, symmetric):
        same_everywhere(REFERENCE.gemm(x, weight, epilogue), "gemm", x, weight, epilogue)
    found = REFERENCE.gemm(x, weight, symmetric)
    assert isinstance(found, Codes)
    assert found.values.min() >= -7


@pytest.mark.parametrize(
    ("arch", "sites", "said"),
    [("gcn", "published", "site '0/input' has 32 bits"), ("gin", "published", "site '0/message' has 32 bits"),
     ("sage", "all", "rows have grids of their own at site '0/message'"),
     ("gat", "all", "rows have grids of their own at site '0/input'")],
)  # fmt: skip
def test_what_cannot_be_run_in_integers_says_so(arch: str, sites: str, said: str) -> None:
    x, edge_index = binary(301), edges_of(GRAPHS["hub"])
    with pytest.raises(Unavailable, match=said) as caught:
        integer.plan(untrained(arch, "node", x, edge_index, sites=sites))
    assert str(caught.value).count(".") == 1


def test_sums_of_rows_of_different_steps_say_so() -> None:
    """GIN sums the data set's features first: they must be 0 and one other value, such as 0/1."""
    x, edge_index = binary(301) * torch.linspace(0.1, 2, 301)[:, None], edges_of(GRAPHS["hub"])
    model = untrained("gin", "node", x, edge_index)
    with pytest.raises(Unavailable, match="steps of their own at site '0/message'"):
        integer.Session(integer.plan(model), "reference").run(x, edge_index)


def test_the_plan_says_what_is_float_and_what_memory_counts() -> None:
    x, edge_index = binary(301), edges_of(GRAPHS["hub"])
    program = integer.plan(untrained("gcn", "node", x, edge_index))
    by_name = {row["op"]: row for row in program.describe()}
    assert by_name["gcn/0/spmm"]["float"] == "nothing: sums stay integers"
    assert "a factor of each row and each column" in by_name["gcn/0/spmm/rows"]["float"]
    assert (by_name["gcn/0/spmm/rows"]["writes"], by_name["gcn/0/spmm/rows"]["bits"]) == ("1/input", 8)
    assert program.skipped == ()
    assert len(program.notes) == 1
    assert "1/input (8)" in program.notes[0]
