"""A small study with known shape, made by the real analysis from generated values: no run needed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis import SiteView, accuracy_by_degree, analyse, protection
from dqviz.analysis.gradients import WeightGradient, gradient_table
from dqviz.columns import error_column

NUM_NODES = 400
CHANNELS = 6
SITES = ("input", "weight", "message", "aggregate", "update")


def quantize(x: np.ndarray, bits: int, lo: float, hi: float) -> dict[str, Any]:
    """Affine quantization on [lo, hi] widened to contain 0: fields of a SiteView."""
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    scale = float(np.float32((hi - lo) / (2**bits - 1)))
    zero = round(-lo / scale)
    xq = (np.clip(np.rint(x / scale) + zero, 0, 2**bits - 1) - zero) * scale
    ends = {"lo": -zero * scale, "hi": (2**bits - 1 - zero) * scale}
    return {**ends, "bits": bits, "scale": scale, "zero_point": float(zero), "xq": xq.astype(np.float32)}


def view(x: np.ndarray, bits: int = 4, key: str = "0/update", lo: float | None = None, hi: float | None = None,
         **fields: Any) -> SiteView:  # fmt: skip
    """A view of `x` quantized on its own range, or on [lo, hi]."""
    layer, *part, site = key.split("/")
    ends = (float(x.min()) if lo is None else lo, float(x.max()) if hi is None else hi)
    named = {"key": key, "layer": int(layer), "part": "/".join(part), "site": site, "order": 0, "signed": False}
    return SiteView(**(named | {"x": x} | quantize(x, bits, *ends) | fields))


def untouched(x: np.ndarray, key: str = "0/aggregate", **fields: Any) -> SiteView:
    layer, *part, site = key.split("/")
    named = {
        "key": key,
        "layer": int(layer),
        "part": "/".join(part),
        "site": site,
        "order": 0,
        "signed": False,
        "bits": 32,
    }
    none = dict.fromkeys(("lo", "hi", "scale", "zero_point"), np.nan)
    return SiteView(**(named | none | {"x": x, "xq": x} | fields))


def graph(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(target of each edge, in-degree): a heavy tail and some isolated nodes."""
    rng = np.random.default_rng(seed)
    weight = rng.pareto(1.3, NUM_NODES) + 0.05
    target = np.sort(rng.choice(NUM_NODES, 4 * NUM_NODES, p=weight / weight.sum()))
    return target, np.bincount(target, minlength=NUM_NODES)


def views(bits: int, seed: int, noise: float) -> list[SiteView]:
    target, degree = graph()
    rng = np.random.default_rng(seed)
    found = []
    for order, (layer, site) in enumerate((layer, site) for layer in (0, 1) for site in SITES):
        rows = len(target) if site == "message" else CHANNELS if site == "weight" else NUM_NODES
        x = rng.standard_normal((rows, CHANNELS)).astype(np.float32)
        if site == "aggregate":
            x = (np.abs(x) * np.sqrt(degree + 0.1)[:, None]).astype(np.float32)
        reference = x + noise * rng.standard_normal(x.shape).astype(np.float32)
        key, node = f"{layer}/{site}", target if site == "message" else None
        per_node = site != "weight"
        fields = {"order": order, "node": node, "per_node": per_node, "reference": reference if per_node else None}
        found.append(untouched(x, key, **fields) if bits == 32 else view(x, bits, key, **fields))
    return found


def gradients(degree: np.ndarray, noise: float, seed: int) -> pd.DataFrame:
    """The gradients table of two linear layers: error grows with in-degree, and twice as much under the own rule."""
    rng = np.random.default_rng(seed)
    x, dy = rng.random((NUM_NODES, CHANNELS)), rng.random((NUM_NODES, 3))
    off = noise * rng.standard_normal(dy.shape) * np.sqrt(degree + 1.0)[:, None]
    passed = np.ones((3, CHANNELS))
    layers = [WeightGradient((f"{layer}/weight", layer, "", "weight"), x, dy, passed) for layer in (0, 1)]
    moved = {factor: [replace(layer, dy=dy + factor * off) for layer in layers] for factor in (1, 2)}
    return gradient_table(degree, layers, {"own": [moved[2]], "ste": [moved[1]]} if noise else {})


@lru_cache(maxsize=32)
def run_tables(method: str, bits: int, seed: int) -> dict[str, pd.DataFrame]:
    """All tables of one run."""
    _, degree = graph()
    rng = np.random.default_rng([bits, seed])
    noise = 0.0 if bits == 32 else {"dq": 0.3, "qat": 0.5}.get(method, 0.4) / bits
    tables = analyse(views(bits, seed, noise), degree, seed=seed)
    p = protection(degree, 0.1, 0.3) if method == "dq" else np.zeros(NUM_NODES)
    label = np.arange(NUM_NODES) % 4
    twin = np.where(rng.random(NUM_NODES) < 0.2, (label + 1) % 4, label)
    flip = rng.random(NUM_NODES) < noise * 0.6
    nodes = pd.DataFrame({
        "node": np.arange(NUM_NODES), "graph": 0, "degree": degree, "label": label,
        "split": np.where(np.arange(NUM_NODES) % 3 == 0, "train", "test"), "prediction_twin": twin,
        "prediction": np.where(flip, (twin + 1) % 4, twin),
        "prediction_integer": pd.array([pd.NA] * NUM_NODES, "Int64"),
        "protection": p,
        "protected_frequency": rng.binomial(200, p) / 200 if method == "dq" else np.nan,
    })  # fmt: skip
    tables["accuracy"] = accuracy_by_degree(nodes)
    tables["smoothness"] = smoothness(3, bits, seed, bounded=True)
    tables["gradients"] = gradients(degree, noise, seed)
    tables["nodes"] = pd.concat([nodes, tables.pop("node_errors")], axis=1)
    epoch = np.arange(60)
    tables["metrics"] = pd.DataFrame({
        "epoch": epoch, "loss_train": 2 * np.exp(-epoch / 20), "loss_val": 2.1 * np.exp(-epoch / 25),
        "accuracy_train": 1 - 0.7 * np.exp(-epoch / 15), "epoch_ms": 5.0,
        "accuracy_val": 0.8 - noise - 0.6 * np.exp(-epoch / 15) + 0.01 * rng.standard_normal(60),
    })  # fmt: skip
    tables["sites"] = pd.DataFrame({
        "epoch": epoch, "key": "1/aggregate", "layer": 1, "part": "", "site": "aggregate", "bits": bits,
        "lo": -0.1 * epoch**0.5, "hi": 1 + 0.3 * epoch**0.5, "scale": 0.1, "zero_point": 0.0,
    })  # fmt: skip
    assert error_column("1/aggregate", "local") in tables["nodes"]
    return tables


def rows(combinations: tuple[tuple[str, int], ...] = (("fp32", 32), ("qat", 4), ("dq", 4)), seeds: int = 6,
         archs: tuple[str, ...] = ("gcn",)) -> list[dict[str, Any]]:  # fmt: skip
    """JSON rows of finished runs."""
    rng = np.random.default_rng(0)
    base = {"fp32": 0.81, "qat": 0.74, "dq": 0.78}
    return [
        {"run_id": f"{method}:{bits}:{seed}", "kind": "train", "state": "finished", "dataset": "cora", "arch": arch,
         "method": method, "bits": bits, "bits_label": "FP32" if bits == 32 else f"INT{bits}", "profile": "paper",
         "seed": seed, "epochs": 200, "val_accuracy": 0.8, "test_accuracy_integer": None, "error": None,
         "test_accuracy": base.get(method, 0.7) + 0.008 * rng.standard_normal(), "epoch_ms_median": 5.0,
         "latency_ms": 40.0 / bits + {"dq": 0.2}.get(method, 0.0), "size_bytes": 1000 * bits}
        for arch in archs for method, bits in combinations for seed in range(seeds)
    ]  # fmt: skip


def smoothness(depth: int, bits: int = 32, seed: int = 0, bounded: bool = False) -> pd.DataFrame:
    """Energy halves with every layer, the error grows by a tenth of a layer's number over its bits."""
    step = np.arange(1, depth + 1)
    energy = 0.5**step * (1 + 0.1 * seed)
    error = 0.0 if bits == 32 else 0.1 / bits
    change = np.where(step == 1, np.nan, 0.25)
    return pd.DataFrame({
        "step": step, "energy": 8 * energy, "energy_twin": 4 * energy, "squares": 8.0, "squares_twin": 8.0,
        "change": change, "change_energy": 8 * change, "layer_error": error * step,
        "multiplier": 1e-3 - 1e-4 * step if bounded else np.nan,
    })  # fmt: skip


def depth_rows(depths: tuple[int, ...] = (2, 8, 32), **kwargs: Any) -> list[dict[str, Any]]:
    """`rows` at several depths; every architecture but the first loses 1 point where the first loses 20 a step."""
    found = []
    for at, layers in enumerate(depths):
        for row in rows(**kwargs):
            first = row["arch"] == kwargs.get("archs", ("gcn",))[0]
            found.append(row | {
                "run_id": f"{row['arch']}:{row['bits']}:{row['seed']}:{layers}", "arch_settings": {"layers": layers},
                "test_accuracy": 0.8 + 0.01 * row["seed"] - at * (0.2 if first else 0.01),
            })  # fmt: skip
    return found


def depth_table(run_id: str) -> pd.DataFrame:
    """Smoothness of the runs of `depth_rows`."""
    arch, bits, seed, layers = run_id.split(":")
    return smoothness(int(layers), int(bits), int(seed), bounded=arch == "smp")


def one_site_rows() -> list[dict[str, Any]]:
    """QAT and Degree-Quant at INT8, and with one site at INT4: seeds differ by far more than sites do."""
    gains = {("qat", "aggregate"): -0.10, ("qat", "message"): 0.01, ("dq", "aggregate"): -0.02, ("dq", "message"): 0.0}
    maps = [(method, {"default": 8, site: 4}, gain) for (method, site), gain in gains.items()]
    uniform = [("qat", 8, 0.0), ("dq", 8, 0.0), ("qat", 4, -0.2)]
    return [
        {"run_id": f"{method}:{bits}:{seed}", "dataset": "cora", "arch": "gcn", "method": method, "profile": "paper",
         "bits": bits if isinstance(bits, int) else None, "site_bits": bits if isinstance(bits, dict) else None,
         "seed": seed, "test_accuracy": 0.5 + 0.05 * seed + gain}
        for method, bits, gain in [*uniform, *maps] for seed in range(5)
    ]  # fmt: skip


def table(name: str) -> Any:
    """Reader of one table for `group_runs`."""

    def read(run_id: str) -> pd.DataFrame:
        method, bits, seed = run_id.split(":")
        return run_tables(method, int(bits), int(seed))[name]

    return read


def facts() -> dict[str, Any]:
    _, degree = graph()
    values, counts = np.unique(degree, return_counts=True)
    rng = np.random.default_rng(0)
    return {
        "degree_table": {str(d): int(c) for d, c in zip(values, counts, strict=True)},
        "sample": {"graph": 0, "node": list(range(30)), "xy": rng.uniform(-1, 1, (30, 2)).tolist(),
                   "edges": rng.integers(0, 30, (60, 2)).tolist(), "degree": degree[:30].tolist()},
    }  # fmt: skip


def latency() -> pd.DataFrame:
    base = {"graph": "cora", "num_nodes": 2708, "num_edges": 10556, "features": 16, "threads": 2, "repeats": 30,
            "bytes_moved": 1000}  # fmt: skip
    times = [
        ("gcn", "pyg", "fp32", 2.0, None), ("gcn", "fbgemm", "fp32", 0.8, None), ("gcn", "numba", "int8", 0.4, True),
        ("gcn", "numba", "int4", 0.5, True), ("spmm", "fbgemm", "fp32", 0.3, None),
        ("spmm", "numba", "int8", 0.1, True), ("epoch-gcn", "pyg", "fp32", 60.0, None),
    ]  # fmt: skip
    names = ("op", "backend", "precision", "median_ms", "exact")
    frame = pd.DataFrame([base | dict(zip(names, one, strict=True)) for one in times])
    return frame.assign(p10_ms=0.9 * frame["median_ms"], p90_ms=1.2 * frame["median_ms"])


def latency_sweep() -> pd.DataFrame:
    """A GCN on its own graph and on three of growing size: INT8 loses below 5,000 nodes, and a copy of memory."""
    rows: list[dict[str, Any]] = []
    for graph, nodes, loss in (("cora", 2_708, 2.0), ("heavy-1k", 1_000, 4.0), ("heavy-5k", 5_000, 1.0),
                               ("arxiv-size", 169_343, 0.2)):  # fmt: skip
        full = nodes / 1000
        place = {"graph": graph, "num_nodes": nodes, "num_edges": 14 * nodes, "features": 128, "threads": 2}
        for precision, factor, bits in (("fp32", 1.0, 32), ("int8", loss, 8), ("int4", 0.5 * loss, 4)):
            backend = "fbgemm" if precision == "fp32" else "native"
            same = place | {"backend": backend, "precision": precision, "exact": None if bits == 32 else True}
            accuracy = 0.8 if graph == "cora" else np.nan
            rows.append(same | {"op": "gcn", "median_ms": full * factor, "size_bytes": 1000 * bits,
                                "feature_bytes": 16 * bits * nodes, "accuracy": accuracy})  # fmt: skip
            for op, share in (("gcn/0/gemm", 0.25), ("gcn/0/spmm", 0.75)):
                rows.append(same | {"op": op, "median_ms": share * full * factor, "bytes_moved": 1e6 * full * bits / 8})
    rows.append(place | {"op": "copy", "graph": "cora", "backend": "dqviz", "precision": "fp32", "median_ms": 10.0,
                         "bytes_moved": 200_000_000})  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(p10_ms=0.9 * frame["median_ms"], p90_ms=1.2 * frame["median_ms"], repeats=30)


def neighbours() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of nodes and edges: 1, 2, 3 send to 0, and 1 to 2; 4 is alone. Node 2's error is not known."""
    nodes = pd.DataFrame({
        "node": range(5), "degree": [3, 0, 1, 0, 0], "prediction": [1, 0, 1, 0, 0], "prediction_twin": [0, 0, 0, 0, 0],
        "0/update|accumulated": [0.9, 0.2, np.nan, 0.4, 0.1], "0/update|local": 0.5,
    })  # fmt: skip
    return nodes, pd.DataFrame({"source": [1, 2, 3, 1], "target": [0, 0, 0, 2]})
