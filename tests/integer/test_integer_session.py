"""The integer session: to the bit the reference's, and the fake-quantized model's predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from contract_graphs import GRAPHS
from torch import Tensor, nn
from trained_models import calibrated, doubled, edges_of, trained

from dqviz import integer
from dqviz.data.task import csr
from dqviz.errors import Unavailable
from dqviz.integer.codes import Codes
from dqviz.integer.graph import features_of
from dqviz.integer.kernels import BACKENDS
from dqviz.training.batches import Batch
from dqviz.training.trace import record

OTHERS = [entry.name for entry in BACKENDS if entry.name != "reference" and entry.facts["class"].available()]
MIXED = {"default": 8, "feature": 4, "input": 2, "weight": 3}
VARIANTS = {"gcn": {}, "gin": {"train_eps": True, "batch_norm": True}}


def sparse(x: Tensor) -> Tensor:
    row, column = (np.ascontiguousarray(place) for place in x.numpy().nonzero())
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(x)))])
    return csr(ptr, column, x.numpy()[row, column], tuple(x.shape))


def features(num_nodes: int, negative: bool = True) -> Tensor:
    """Half of them zero."""
    x = torch.randn(num_nodes, 11, generator=torch.Generator().manual_seed(0))
    return x * (x > 0.3) if not negative else x * (x.abs() > 0.5)


def run(model: nn.Module, backend: str, *inputs: Any, threads: int = 1) -> Tensor:
    return integer.Session(integer.plan(model), backend, threads).run(*inputs)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("bits", [8, 4, MIXED], ids=["8", "4", "mixed"])
@pytest.mark.parametrize("arch", VARIANTS)
@pytest.mark.parametrize("case", GRAPHS)
def test_equals_the_reference_on_every_contract_graph(case: str, arch: str, bits: Any, name: str) -> None:
    edge_index, nodes = edges_of(GRAPHS[case]), GRAPHS[case].num_rows
    x = features(nodes)
    settings = {name: on for name, on in VARIANTS[arch].items() if nodes > 1 or name != "batch_norm"}
    model = calibrated(arch, "node", edge_index, x, bits=bits, **settings)  # batch norm cannot be trained on one row
    expected = run(model, "reference", x, edge_index)
    for threads in (1, 3):
        assert torch.equal(run(model, name, x, edge_index, threads=threads), expected)


@pytest.mark.parametrize("arch", VARIANTS)
@pytest.mark.parametrize("negative", [False, True])
def test_sparse_features_give_the_same_as_dense_ones(arch: str, negative: bool) -> None:
    """With negative features the zero point of INPUT is not 0: stored zeros and missing ones must agree."""
    edge_index = edges_of(GRAPHS["heavy tail, int16"])
    x = features(203, negative)
    model = calibrated(arch, "node", edge_index, x)
    for backend in BACKENDS.names():
        assert torch.equal(run(model, backend, sparse(x), edge_index), run(model, "reference", x, edge_index))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("profile", ["integer", "paper"])
@pytest.mark.parametrize("arch", VARIANTS)
def test_graph_tasks_pool_in_integers(arch: str, profile: str, name: str) -> None:
    """Graphs of 1, 0 and many nodes in one batch; the classes are those of the fake-quantized model."""
    batch = torch.tensor([0] * 1 + [2] * 90 + [3] * 112)
    edge_index = edges_of(GRAPHS["heavy tail, int16"])
    x = features(203)
    model = calibrated(arch, "graph", edge_index, x, profile=profile, batch=batch)
    expected = run(model, "reference", x, edge_index, batch)
    assert expected.shape == (4, 3)
    assert torch.equal(run(model, name, x, edge_index, batch, threads=2), expected)
    if profile == "integer":
        with torch.no_grad():
            torch.testing.assert_close(expected, model(x, edge_index, batch), rtol=0, atol=0.05)


@pytest.mark.parametrize(("arch", "bits", "epochs"), [("gcn", 8, 60), ("gcn", 4, 60), ("gin", 8, 15), ("gin", 4, 15)])
def test_trained_on_cora_it_predicts_what_the_fake_quantized_model_predicts(arch: str, bits: int, epochs: int) -> None:
    """Every code and class of the fake-quantized model in float64; in float32 its sums put exact ties on either side.

    Ranges learned on quantized values make such ties common at 4 bits: in float32 one code in 2,000 may differ.
    """
    model, task = trained("cora", arch, bits, epochs=epochs)
    graph = task.graphs[0]
    session = integer.Session(integer.plan(model), "reference")
    frame = session.frame(features_of(graph.x), session.prepare(graph.edge_index, graph.x.size(0)))
    logits = torch.from_numpy(session.execute(frame))
    for name in OTHERS:
        assert torch.equal(run(model, name, graph.x, graph.edge_index, threads=2), logits)
    noisy, noise = compared(session, frame, model.eval(), graph.x, task)
    agree, steps = compared(session, frame, doubled(model), graph.x.double(), task)
    print(f"\ncora {arch} INT{bits}: same class {agree:.4%} (fake-quantized in float32: {noisy:.4%}); differing codes,")
    print(f"codes, largest difference in steps by operation: {steps} (float32: {noise})")
    assert agree >= 0.999
    assert noisy >= 0.99
    assert steps
    assert all(largest <= 1 for _, _, largest in [*steps.values(), *noise.values()])


def compared(session: Any, frame: Any, model: nn.Module, x: Tensor, task: Any) -> tuple[float, dict[str, Any]]:
    """Share of nodes with the same class, and by operation the codes that differ, against a fake-quantized model."""
    graph = task.graphs[0]
    fake, seen = record(model, Batch(x, graph.edge_index, None, graph.y, torch.arange(x.size(0))))
    steps = {op.name: differing(frame.values[op.target], seen[op.out.key].xq) for op in session.plan.ops
             if op.out and isinstance(frame.values[op.target], Codes)}  # fmt: skip
    logits = torch.from_numpy(frame.values["logits"])
    return (logits.argmax(1) == fake.argmax(1)).double().mean().item(), steps


def differing(codes: Codes, fake: Tensor) -> tuple[int, int, int]:
    """(codes that differ, codes, largest difference in steps) between a session's codes and the model's values."""
    dense = fake.to_dense().numpy()
    expected = np.rint(dense / np.float32(codes.params.scale)) + codes.params.zero_point
    difference = np.abs(expected - codes.values)
    return int((difference > 0).sum()), difference.size, int(difference.max())


def test_describe_says_what_is_float_and_what_is_left_out() -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    program = integer.plan(calibrated("gcn", "node", edge_index, x, profile="paper"))
    rows = integer.Session(program, "reference").describe()
    assert [row["op"] for row in rows] == ["gcn/quantize", "gcn/0/gemm", "gcn/0/spmm", "gcn/1/gemm", "gcn/1/spmm"]
    assert rows[1]["writes"] == "0/feature"
    assert rows[-1]["float"] == "logits leave as float32"
    assert {key.split("/")[-1] for key in program.skipped} == {"message", "aggregate", "update"}
    assert "messages stay in int32" in program.notes[0]
    assert integer.plan(calibrated("gcn", "node", edge_index, x)).notes == ()
    pooled = integer.plan(calibrated("gin", "graph", edge_index, x))
    assert [row["op"] for row in pooled.describe()][-2:] == ["gin/pool", "gin/head"]
    assert "nothing" in pooled.describe()[-3]["float"]


def test_what_has_no_integer_form_is_said_in_one_sentence() -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    with pytest.raises(Unavailable, match=r"GATConv.*GCNConv, GINConv"):
        integer.plan(calibrated("gat", "node", edge_index, x, hidden=8, heads=2))
    with pytest.raises(Unavailable, match="16 bits"):
        integer.plan(calibrated("gcn", "node", edge_index, x, bits={"norm": 16}))
    with pytest.raises(Unavailable, match="not a stack"):
        integer.plan(nn.Linear(2, 2))


def test_a_program_of_graphs_without_its_batch_is_one_graph() -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    model = calibrated("gcn", "graph", edge_index, x)
    with torch.no_grad():
        torch.testing.assert_close(run(model, "reference", x, edge_index), model(x, edge_index), rtol=0, atol=0.05)
