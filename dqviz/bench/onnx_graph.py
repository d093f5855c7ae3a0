"""A trained stack as an ONNX graph for ONNX Runtime: the float peer of who exports a network instead of running torch.

ONNX has no sparse product. Of what ONNX Runtime can run, gathering the source rows and adding them up with ScatterND is
the fastest (169,343 nodes, 128 features, 2 threads: 0.2 s, its SparseToDenseMatMul takes 0.7 s). Structure and weights
are constants of the graph, features come in. Needs `onnxruntime` and `onnx`, imported only here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dqviz.bench.attention import with_loops
from dqviz.bench.cases import fits
from dqviz.bench.floats import linear_groups, with_own
from dqviz.errors import Unavailable
from dqviz.integer.csr import order_by_row

OPSET, IR_VERSION = 18, 10
Array = npt.NDArray[Any]


class Graph:
    """An ONNX graph in the making: `add` puts a node behind the others and gives the name of its result."""

    def __init__(self, num_nodes: int) -> None:
        self.helper: Any = import_module("onnx.helper")
        self.from_array: Any = import_module("onnx.numpy_helper").from_array
        self.num_nodes = num_nodes
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str | Array, **attributes: Any) -> str:
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        out = f"value{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, names, [out], **attributes))
        return out

    def constant(self, value: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(self.from_array(np.ascontiguousarray(value), name))
        return name

    def linear(self, x: str, weight: Tensor, bias: Tensor | None = None) -> str:
        """x W^T (+ bias)."""
        parts = [array_of(weight).T] if bias is None else [array_of(weight).T, array_of(bias)]
        return self.add("MatMul" if bias is None else "Gemm", x, *parts)

    def gather(self, x: str, index: Array) -> str:
        return self.add("Gather", x, index, axis=0)

    def scatter(self, start: Array | str, index: Array, rows: str, reduction: str = "add") -> str:
        """`start` with `rows` reduced into the places of `index`."""
        return self.add("ScatterND", start, index[:, None], rows, reduction=reduction)

    def sums(self, x: str, edges: tuple[Array, Array], channels: int, weight: Array | None = None) -> str:
        """Weighted sum of source rows for every target."""
        rows = self.gather(x, edges[0])
        rows = rows if weight is None else self.add("Mul", rows, weight[:, None])
        return self.scatter(np.zeros((self.num_nodes, channels), np.float32), edges[1], rows)

    def serialized(self, inputs: int, out: str, rows: int) -> bytes:
        """The model: x [num_nodes, inputs] -> logits [rows, classes]."""
        kind = import_module("onnx").TensorProto.FLOAT
        shown = [self.helper.make_tensor_value_info(name, kind, shape)
                 for name, shape in (("x", (self.num_nodes, inputs)), (out, (rows, "classes")))]  # fmt: skip
        graph = self.helper.make_graph(self.nodes, "dqviz", shown[:1], shown[1:], self.constants)
        opset = self.helper.make_opsetid("", OPSET)
        model: bytes = self.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
        return model


def array_of(tensor: Tensor) -> Array:
    found: Array = tensor.detach().numpy()
    return found


def missing() -> str:
    """Why ONNX Runtime cannot be timed here; '' where it can."""
    try:
        import_module("onnxruntime")
        import_module("onnx.helper")
    except ImportError as error:
        return f"ONNX Runtime: not installed ({error.name})"
    return ""


def session_of(stack: Any, x: Tensor, edge_index: Tensor, batch: Tensor | None, threads: int) -> Callable[[], Array]:
    """A call that gives the logits. Raises Unavailable, in one sentence, where there is none."""
    reason = missing() or too_large(stack, edge_index) or unknown_part(stack)
    if reason:
        raise Unavailable(reason)
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = False  # else its messages of all edges stay in memory beside everybody else's
    # Its threads would go on spinning after a call, into the time of the variant that comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    model = model_of(stack, x, edge_index, batch)
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": x.numpy()}
    return lambda: session.run(None, feed)[0]


def too_large(stack: Any, edge_index: Tensor) -> str:
    """Messages of all edges stand in memory, gathered and weighted."""
    channels = max(max(weight.shape) for weight in stack.parameters() if weight.dim() == 2)
    needed = 2 * 4 * channels * edge_index.size(1)
    return "" if fits(needed) else f"ONNX Runtime: messages of all edges would take {needed / 1e9:.0f} GB"


def unknown_part(stack: Any) -> str:
    for conv in stack.convs:
        if type(conv) not in LAYERS:
            return f"ONNX Runtime: {type(conv).__name__} is not written as an ONNX graph here"
    return "" if stack.activation in ACTIVATIONS else "ONNX Runtime: the activation is not known"


def model_of(stack: Any, x: Tensor, edge_index: Tensor, batch: Tensor | None) -> bytes:
    """The stack on this graph as a serialized ONNX model."""
    graph, out = Graph(x.size(0)), "x"
    for layer, conv in enumerate(stack.convs):
        out = LAYERS[type(conv)](graph, conv, out, edge_index)
        if layer < len(stack.convs) - 1 or stack.head is not None:
            out = graph.add(ACTIVATIONS[stack.activation], out)
    rows = x.size(0)
    if stack.head is not None and batch is not None:
        count = torch.bincount(batch)
        rows, width = len(count), stack.head.in_features
        out = graph.scatter(np.zeros((rows, width), np.float32), array_of(batch), out)
        out = graph.linear(graph.add("Div", out, array_of(count.float()[:, None])), stack.head.weight, stack.head.bias)
    return graph.serialized(x.size(1), out, rows)


def by_row(edge_index: Tensor, num_nodes: int, weight: Tensor | None = None) -> tuple[tuple[Array, Array], Any]:
    """((source, target) sorted by target, weights in that order)."""
    source, target = edge_index.numpy()
    order, _ = order_by_row(target, num_nodes)
    return (source[order], target[order]), None if weight is None else array_of(weight)[order]


def gcn(graph: Graph, conv: Any, x: str, edge_index: Tensor) -> str:
    entries, norm = gcn_norm(edge_index, None, graph.num_nodes, conv.improved, conv.add_self_loops)
    edges, weight = by_row(entries, graph.num_nodes, norm)
    if conv.out_channels < conv.in_channels:
        summed = graph.sums(graph.linear(x, conv.lin.weight), edges, conv.out_channels, weight)
        return graph.add("Add", summed, array_of(conv.bias))
    return graph.linear(graph.sums(x, edges, conv.in_channels, weight), conv.lin.weight, conv.bias)


def gin(graph: Graph, conv: Any, x: str, edge_index: Tensor) -> str:
    groups = linear_groups(conv.nn)
    first: Any = groups[0][0]
    entries, own = with_own(edge_index, graph.num_nodes, 1 + conv.eps.item())
    edges, weight = by_row(entries, graph.num_nodes, own)
    if first.out_features < first.in_features:
        summed = graph.sums(graph.linear(x, first.weight), edges, first.out_features, weight)
        x = rest_of(graph, groups[0], graph.add("Add", summed, array_of(first.bias)))
        groups = groups[1:]
    else:
        x = graph.sums(x, edges, first.in_features, weight)
    for group in groups:
        linear: Any = group[0]
        x = rest_of(graph, group, graph.linear(x, linear.weight, linear.bias))
    return x


def rest_of(graph: Graph, group: nn.Sequential, x: str) -> str:
    """What follows a linear layer inside an MLP."""
    for module in list(group)[1:]:
        if isinstance(module, nn.BatchNorm1d):
            parts = (module.weight, module.bias, module.running_mean, module.running_var)
            x = graph.add("BatchNormalization", x, *map(array_of, parts), epsilon=module.eps)  # type: ignore[arg-type]
        elif isinstance(module, nn.ReLU):
            x = graph.add("Relu", x)
    return x


def sage(graph: Graph, conv: Any, x: str, edge_index: Tensor) -> str:
    degree = torch.bincount(edge_index[1], minlength=graph.num_nodes)
    edges, weight = by_row(edge_index, graph.num_nodes, 1.0 / degree[edge_index[1]])
    left, right = conv.lin_l, conv.lin_r
    if conv.out_channels < left.in_channels:
        mean = graph.sums(graph.linear(x, left.weight), edges, conv.out_channels, weight)
        return graph.add("Add", mean, graph.linear(x, right.weight, left.bias))
    mean = graph.sums(x, edges, left.in_channels, weight)
    return graph.add("Add", graph.linear(mean, left.weight, left.bias), graph.linear(x, right.weight))


def gat(graph: Graph, conv: Any, x: str, edge_index: Tensor) -> str:
    entries = with_loops(edge_index, graph.num_nodes) if conv.add_self_loops else edge_index
    (source, target), _ = by_row(entries, graph.num_nodes)
    heads, channels = conv.heads, conv.out_channels
    shape = np.array([graph.num_nodes, heads, channels], np.int64)
    rows = graph.add("Reshape", graph.linear(x, conv.lin.weight), shape)
    logits = [graph.add("ReduceSum", graph.add("Mul", rows, array_of(vector)), np.array([2]), keepdims=0)
              for vector in (conv.att_src, conv.att_dst)]  # fmt: skip
    entry = graph.add("Add", graph.gather(logits[0], source), graph.gather(logits[1], target))
    entry = graph.add("LeakyRelu", entry, alpha=conv.negative_slope)
    least = np.full((graph.num_nodes, heads), np.finfo(np.float32).min, np.float32)
    top = graph.scatter(least, target, entry, "max")
    entry = graph.add("Exp", graph.add("Sub", entry, graph.gather(top, target)))
    total = graph.scatter(np.full((graph.num_nodes, heads), 1e-16, np.float32), target, entry)
    weights = graph.add("Unsqueeze", entry, np.array([2]))
    messages = graph.add("Mul", graph.gather(rows, source), weights)
    summed = graph.scatter(np.zeros(tuple(shape), np.float32), target, messages)
    out = graph.add("Div", summed, graph.add("Unsqueeze", total, np.array([2])))
    if conv.concat:
        out = graph.add("Reshape", out, np.array([graph.num_nodes, heads * channels], np.int64))
    else:
        out = graph.add("ReduceMean", out, np.array([1]), keepdims=0)
    return graph.add("Add", out, array_of(conv.bias))


LAYERS: dict[type, Callable[[Graph, Any, str, Tensor], str]] = {
    GCNConv: gcn,
    GINConv: gin,
    SAGEConv: sage,
    GATConv: gat,
}
ACTIVATIONS: dict[Any, str] = {F.relu: "Relu", F.elu: "Elu"}
