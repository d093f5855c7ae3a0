"""The integer session: to the bit the reference's, and the fake-quantized model's predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from contract_graphs import GRAPHS
from torch import Tensor, nn
from torch_geometric.nn import GATConv, SAGEConv
from torch_geometric.utils import add_self_loops, remove_self_loops
from trained_models import calibrated, doubled, edges_of, quantized, trained
from variants import OTHERS, small_work_is_shared_too, variant
from variants import VARIANTS as KERNELS

from dqviz import integer
from dqviz.data.task import csr
from dqviz.errors import Unavailable
from dqviz.integer.attention import Attend, Scores
from dqviz.integer.codes import Codes
from dqviz.integer.graph import SparseRows, features_of
from dqviz.nn.stack import Stack
from dqviz.training.batches import Batch, collate, whole_graph
from dqviz.training.trace import record

__all__ = ["small_work_is_shared_too"]
ARCHS: dict[str, dict[str, Any]] = {
    "gcn": {},
    "gin": {"train_eps": True, "batch_norm": True},
    "sage": {},
    "gat": {"hidden": 5, "heads": 3},
    "appnp": {"layers": 3},
    "smp": {"layers": 3},
}
MIXED = {"default": 8, "feature": 4, "input": 2, "weight": 3, "alpha": 4, "norm": 6, "message": 4}
WIDTHS = {"8": 8, "4": 4, "2": 2, "mixed": MIXED}


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


def same_everywhere(program: integer.Plan, *inputs: Any) -> Tensor:
    """Logits of the reference, which every kernel gives to the bit, with one thread and with three."""
    expected = integer.Session(program, "reference").run(*inputs)
    for name in KERNELS:
        for threads in (1, 3):
            kernels = variant(name, threads)
            session = integer.Session(program, name.split()[0], threads)
            session.backend = kernels
            assert torch.equal(session.run(*inputs), expected), (name, threads)
    return expected


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("arch", ARCHS)
def test_equals_the_reference_on_every_contract_graph(arch: str, bits: str) -> None:
    for matrix in GRAPHS.values():
        edge_index, nodes = edges_of(matrix), matrix.num_rows
        x = features(nodes)
        settings = {name: on for name, on in ARCHS[arch].items() if nodes > 1 or name != "batch_norm"}
        # batch norm cannot be trained on one row
        model = calibrated(arch, "node", edge_index, x, bits=WIDTHS[bits], **settings)
        same_everywhere(integer.plan(model), x, edge_index)


@pytest.mark.parametrize("rows", ["dense", "csr"])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_second_run_of_a_frame_leaves_nothing_out(arch: str, rows: str) -> None:
    """What is timed is a second run, often a replay: features that have changed since give the logits of the new ones.

    A sparse sum and an epilogue that numba did were not on the tape: SAGE's replays took a thirtieth of its time.
    """
    edge_index, x = edges_of(GRAPHS["hub"]), features(GRAPHS["hub"].num_rows, negative=False)
    program = integer.plan(calibrated(arch, "node", edge_index, x, **ARCHS[arch]))
    expected = integer.Session(program, "reference").run(0.5 * x, edge_index).numpy()
    for name in KERNELS:
        for threads in (1, 3):
            session = integer.Session(program, name.split()[0], threads)
            session.backend = variant(name, threads)
            own = features_of(sparse(x) if rows == "csr" else x.clone())
            frame = session.frame(own, session.prepare(edge_index, len(x)))
            assert not np.array_equal(session.execute(frame), expected)
            for values in (own.values, own.padded) if isinstance(own, SparseRows) else (own,):
                values *= np.float32(0.5)
            np.testing.assert_array_equal(session.execute(frame), expected)
            assert (frame.replay is not None) == name.startswith("native")


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("negative", [False, True])
def test_sparse_features_give_the_same_as_dense_ones(arch: str, negative: bool) -> None:
    """With negative features the zero point of INPUT is not 0: stored zeros and missing ones must agree."""
    edge_index = edges_of(GRAPHS["heavy tail, int16"])
    x = features(203, negative)
    program = integer.plan(calibrated(arch, "node", edge_index, x, **ARCHS[arch]))
    assert torch.equal(same_everywhere(program, sparse(x), edge_index), same_everywhere(program, x, edge_index))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize(("arch", "profile"), [*((arch, "integer") for arch in ARCHS), ("gcn", "paper"),
                                               ("gin", "paper"), ("sage", "paper")])  # fmt: skip
def test_graph_tasks_pool_in_integers(arch: str, profile: str, bits: str) -> None:
    """Graphs of 1, 0 and many nodes in one batch; the logits are those of the fake-quantized model in float64.

    A pooled value on a rounding tie may fall on either side of it: a step of the classifier's input, seldom.
    """
    batch = torch.tensor([0] * 1 + [2] * 90 + [3] * 112)
    edge_index = edges_of(GRAPHS["heavy tail, int16"])
    x = features(203)
    model = calibrated(arch, "graph", edge_index, x, bits=WIDTHS[bits], profile=profile, batch=batch,
                       **ARCHS[arch])  # fmt: skip
    found = same_everywhere(integer.plan(model), x, edge_index, batch)
    assert found.shape == (4, 3)
    if profile == "integer":
        convs: Any = model.convs
        for conv in convs:
            conv.cached = True  # GCN: `doubled` keeps the normalisation of float32
        with torch.no_grad():
            model(x, edge_index, batch)
            expected = doubled(model)(x.double(), edge_index, batch)
        step = last_step(model)
        difference = (found - expected).abs()
        assert difference.max() <= 1.1 * step
        assert (difference < 1e-5 * expected.abs().max()).double().mean() >= 0.7


def last_step(model: Any) -> float:
    """What one step of the codes before the logits may change of them."""
    if not hasattr(model, "head"):
        return float(model.convs[-1].sites.update.qparams().scale)
    return float(model.head.input_q.qparams().scale * model.head.weight.abs().max().item())


TRAINED = [("cora", "gcn", 8, 60), ("cora", "gcn", 4, 60), ("cora", "gin", 8, 15), ("cora", "gin", 4, 15),
           ("cora", "gat", 8, 10), ("cora", "gat", 4, 10), ("cora", "sage", 8, 10), ("cora", "sage", 4, 10),
           ("cora", "appnp", 8, 15), ("cora", "smp", 8, 15), ("cora", "smp", 4, 15),
           ("cora", "gcn", 2, 20), ("cora", "gat", 2, 10), ("cora", "sage", 2, 10),
           ("citeseer", "gcn", 8, 10), ("pubmed", "gcn", 8, 5), ("computers", "gcn", 8, 5)]  # fmt: skip


@pytest.mark.parametrize(("dataset", "arch", "bits", "epochs"), TRAINED)
def test_a_trained_network_predicts_what_the_fake_quantized_one_predicts(
    dataset: str, arch: str, bits: int, epochs: int
) -> None:
    """Every code and class of the fake-quantized model in float64; in float32 its sums put exact ties on either side.

    Ranges learned on quantized values make such ties common at 4 bits: in float32 one code in 2,000 may differ. Means
    of codes (SAGE) fall on ties as a rule: in float32 one in twenty of what is made of them differs, by up to 3 steps.
    """
    model, task = trained(dataset, arch, bits, epochs=epochs)
    graph = task.graphs[0]
    session = integer.Session(integer.plan(model), "reference")
    frame = session.frame(features_of(graph.x), session.prepare(graph.edge_index, graph.x.size(0)))
    logits = torch.from_numpy(session.execute(frame))
    for name in OTHERS:
        assert torch.equal(integer.Session(session.plan, name, 2).run(graph.x, graph.edge_index), logits)
    batch = whole_graph(task, "test")
    noisy, noise = compared(session, frame, model.eval(), batch)
    agree, steps = compared(session, frame, doubled(model), replace(batch, x=graph.x.double()))
    print(f"\n{dataset} {arch} INT{bits}: same class {agree:.4%} (fake-quantized in float32: {noisy:.4%}); differing")
    print(f"codes, codes, largest difference in steps by operation: {steps} (float32: {noise})")
    assert agree >= 0.999
    assert noisy >= 0.99
    assert steps
    assert all(largest <= 1 for _, _, largest in steps.values())


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_network_trained_on_graphs_predicts_the_same_classes(arch: str, bits: int) -> None:
    """All 188 graphs of MUTAG in one batch; a pool's fixed-point sums may end on the other side of a tie, rarely."""
    model, task = trained("mutag", arch, bits, epochs=3)
    batch = collate(task, range(len(task.graphs)))
    convs: Any = model.eval().convs
    for conv in convs:
        conv.cached = True  # GCN: `doubled` keeps the normalisation of float32
    with torch.no_grad():
        model(*batch.inputs)
    session = integer.Session(integer.plan(model), "reference")
    graph = session.prepare(batch.edge_index, batch.x.size(0), batch.batch)
    frame = session.frame(features_of(batch.x), graph)
    logits = torch.from_numpy(session.execute(frame))
    for name in OTHERS:
        assert torch.equal(run(model, name, *batch.inputs, threads=2), logits)
    agree, steps = compared(session, frame, doubled(model), replace(batch, x=batch.x.double()))
    print(f"\nmutag {arch} INT{bits}: same class {agree:.4%}; differing codes, codes, largest difference: {steps}")
    assert agree >= 0.999
    assert all(largest <= 1 for _, _, largest in steps.values())
    assert all(count <= 0.001 * size for count, size, _ in steps.values())


def compared(session: Any, frame: Any, model: nn.Module, batch: Batch) -> tuple[float, dict[str, Any]]:
    """Share of rows with the same class, and by operation the codes that differ, against a fake-quantized model."""
    fake, seen = record(model, batch)
    steps = {op.name: differing(frame.values[op.target], seen[op.out.key].xq) for op in session.plan.ops
             if op.out and isinstance(frame.values[op.target], Codes) and not isinstance(op, Scores)}  # fmt: skip
    for op in session.plan.ops:
        if isinstance(op, Attend):
            steps |= of_attention(op, frame, seen, batch)
    logits = torch.from_numpy(frame.values["logits"])
    return (logits.argmax(1) == fake.argmax(1)).double().mean().item(), steps


def of_attention(op: Attend, frame: Any, seen: Any, batch: Batch) -> dict[str, Any]:
    """Codes of both halves of the logits and of the coefficients, in the order of the model's edges."""
    edges, _ = add_self_loops(remove_self_loops(batch.edge_index)[0], num_nodes=batch.x.size(0))
    sender, receiver = edges.numpy()
    scores, norm = frame.values[op.scores], op.softmax.out
    source, target = np.split(scores.values, 2, axis=1)
    halves = np.concatenate([source[sender], target[receiver]])
    weights = frame.backend.attention(frame.graph.matrices[op.name], scores, op.softmax).weights
    ordered = np.empty_like(weights)
    ordered[np.argsort(receiver, kind="stable")] = weights
    fake = np.rint(seen[norm.key].xq.numpy() / np.float32(norm.scale))
    return {
        scores.params.key: differing(Codes.of(halves, scores.params), seen[scores.params.key].xq),
        norm.key: summary(fake - ordered),
    }


def differing(codes: Codes, fake: Tensor) -> tuple[int, int, int]:
    """How a session's codes differ from the model's values (see `summary`)."""
    dense = fake.to_dense().numpy()
    return summary(np.rint(dense / np.float32(codes.params.scale)) + codes.params.zero_point - codes.values)


def summary(difference: np.ndarray) -> tuple[int, int, int]:
    """(codes that differ, codes, largest difference in steps)."""
    return int((difference != 0).sum()), difference.size, int(np.abs(difference).max())


@pytest.mark.parametrize("bits", WIDTHS)
def test_heads_may_be_averaged(bits: str) -> None:
    """The last layer of the published GAT: the sums of all heads are added as integers, then divided."""
    edge_index, x = edges_of(GRAPHS["heavy tail, int16"]), features(203)
    stack = Stack([GATConv(11, 5, heads=3), GATConv(15, 4, heads=6, concat=False)], torch.nn.functional.elu, 0.0)
    model = quantized(stack, edge_index, x, WIDTHS[bits])
    found = same_everywhere(integer.plan(model), x, edge_index)
    with torch.no_grad():
        expected = doubled(model)(x.double(), edge_index)
    assert (found.argmax(1) == expected.argmax(1)).double().mean() >= 0.99
    assert ((found - expected).abs() < 1e-5).double().mean() >= 0.95


def test_sage_without_a_root_and_gat_without_loops() -> None:
    """Rows without edges: their mean and their attention are zero."""
    edge_index, x = edges_of(GRAPHS["empty rows"]), features(9)
    for conv in (SAGEConv(11, 4, root_weight=False), GATConv(11, 4, add_self_loops=False)):
        model = quantized(Stack([conv], torch.nn.functional.relu, 0.0), edge_index, x)
        found = same_everywhere(integer.plan(model), x, edge_index)
        with torch.no_grad():
            torch.testing.assert_close(found, doubled(model)(x.double(), edge_index).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_second_run_of_a_frame_does_everything_again(arch: str, dense: bool) -> None:
    """Results are spoilt in between: whatever a backend keeps of the first run, it must write all of them anew."""
    edge_index, x = edges_of(GRAPHS["heavy tail, int16"]), features(203)
    program = integer.plan(calibrated(arch, "node", edge_index, x, bits=MIXED, **ARCHS[arch]))
    for name in KERNELS:
        session = integer.Session(program, name.split()[0], 2)
        session.backend = variant(name, 2)
        frame = session.frame(features_of(x if dense else sparse(x)), session.prepare(edge_index, 203))
        first = session.execute(frame).copy()
        for _ in range(2):
            for key, value in frame.values.items():
                if key != "x":
                    spoil(value)
            np.testing.assert_array_equal(session.execute(frame), first)


def spoil(value: Any) -> None:
    matrix = getattr(value, "matrix", None)
    array = value if isinstance(value, np.ndarray) else value.data if matrix is None else matrix.weights
    array[...] = 1


def test_describe_says_what_is_float_and_what_is_left_out() -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    program = integer.plan(calibrated("gcn", "node", edge_index, x, profile="paper"))
    rows = integer.Session(program, "reference").describe()
    assert [row["op"] for row in rows] == ["gcn/quantize", "gcn/0/gemm", "gcn/0/spmm", "gcn/1/gemm", "gcn/1/spmm"]
    assert rows[1]["writes"] == "0/feature"
    assert rows[-1]["float"] == "logits leave as float32"
    assert {key.split("/")[-1] for key in program.skipped} == {"message", "aggregate", "update"}
    assert "messages stay in int32" in program.notes[0]
    pooled = integer.plan(calibrated("gin", "graph", edge_index, x))
    assert [row["op"] for row in pooled.describe()][-2:] == ["gin/pool", "gin/head"]
    assert "nothing" in pooled.describe()[-3]["float"]


@pytest.mark.parametrize("kind", ["node", "graph"])
@pytest.mark.parametrize("arch", ARCHS)
def test_only_the_softmax_is_float_and_no_site_is_left_out(arch: str, kind: str) -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    program = integer.plan(calibrated(arch, kind, edge_index, x, bits=MIXED, **ARCHS[arch]))
    assert program.notes == ()
    softmax = {row["op"] for row in program.describe() if "exponential" in row["float"]}
    assert softmax == ({"gat/0/attention", "gat/1/attention"} if arch == "gat" else set())
    known = ("softmax: exponentials from a table", "requantization: one mult", "one multiplication and addition a",
             "logits leave", "reads float32 features", "nothing")  # fmt: skip
    assert all(part.startswith(known) for row in program.describe() for part in row["float"].split("; "))
    weights = sum(op.weight.codes.nbytes for op in program.ops if hasattr(op, "weight"))
    assert program.size_bytes >= weights > 0


def test_what_has_no_integer_form_is_said_in_one_sentence() -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    with pytest.raises(Unavailable, match="profile 'paper'"):
        integer.plan(calibrated("gat", "node", edge_index, x, profile="paper", hidden=8, heads=2))
    with pytest.raises(Unavailable, match="only the mean"):
        integer.plan(quantized(Stack([SAGEConv(11, 3, aggr="max")], torch.nn.functional.relu, 0.0), edge_index, x))
    with pytest.raises(Unavailable, match="residuals"):
        integer.plan(quantized(Stack([GATConv(11, 3, residual=True)], torch.nn.functional.elu, 0.0), edge_index, x))
    two = Stack([SAGEConv(11, 3), SAGEConv(3, 3)], torch.nn.functional.gelu, 0.0)
    with pytest.raises(Unavailable, match="neither ReLU nor ELU"):
        integer.plan(quantized(two, edge_index, x))
    with pytest.raises(Unavailable, match="16 bits"):
        integer.plan(calibrated("gcn", "node", edge_index, x, bits={"norm": 16}))
    with pytest.raises(Unavailable, match="1 bit, fewer than 2"):
        integer.plan(calibrated("gcn", "node", edge_index, x, bits={"norm": 1}))
    with pytest.raises(Unavailable, match="profile 'integer'"):
        integer.plan(calibrated("smp", "node", edge_index, x, profile="paper", layers=2))
    with pytest.raises(Unavailable, match="three terms"):
        integer.plan(calibrated("smp", "node", edge_index, x, layers=2, mu=5.0))
    with pytest.raises(Unavailable, match="not a stack"):
        integer.plan(nn.Linear(2, 2))


def test_a_program_of_graphs_without_its_batch_is_one_graph() -> None:
    edge_index, x = edges_of(GRAPHS["hub"]), features(301)
    model = calibrated("gcn", "graph", edge_index, x)
    with torch.no_grad():
        torch.testing.assert_close(run(model, "reference", x, edge_index), model(x, edge_index), rtol=0, atol=0.05)
