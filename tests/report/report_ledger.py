"""A small finished study, made through the real runs API: made-up values, real analyses, real artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis import SiteView, analyse
from dqviz.analysis.accuracy import accuracy_by_degree
from dqviz.analysis.gradients import WeightGradient, gradient_table
from dqviz.columns import TABLES
from dqviz.report.blocks import Report
from dqviz.runs.job import Job
from dqviz.runs.ledger import Ledger
from dqviz.runs.store import Store
from dqviz.spec import MeasureSpec, RunSpec, Study

NODES, CHANNELS, CLASSES = 160, 8, 4
KEYS = (("0/input", 0, "input"), ("0/aggregate", 0, "aggregate"), ("1/aggregate", 1, "aggregate"),
        ("1/update", 1, "update"))  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A study in a store and its report."""

    store: Store
    study_id: str
    report: Report


def make(folder: Path, study: Study, fail: Sequence[str] = ()) -> tuple[Store, str]:
    """A store whose ledger holds `study`, every run finished but those in `fail` (digests)."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}", folder=folder / "runs")
    study_id = ledger.submit(study)
    while claim := ledger.claim("test", free=10_000):
        with Job.open(claim.run_id, claim.attempt, ledger) as job:
            if claim.run_id in fail:
                raise ValueError("no reason <b>at all</b>")
            run(job)
    finished = [row.run_id for row in ledger.runs(study_id, ["finished"])]
    for run_id in finished[-1:]:
        ledger.submit_measure(MeasureSpec(target=run_id))
        if claim := ledger.claim("test", free=10_000):
            with Job.open(claim.run_id, claim.attempt, ledger) as job:
                measure(job)
    return Store(ledger, demo=folder / "no-demo"), study_id


def run(job: Job) -> None:
    """Artifacts of one run from values drawn with its seed."""
    spec = job.spec
    assert isinstance(spec, RunSpec)
    rng = np.random.default_rng(spec.seed)
    degree = np.sort(rng.zipf(1.7, NODES).clip(1, 60)).astype(np.int64)
    bits = spec.bits if isinstance(spec.bits, int) else 8
    tables = analyse(views(rng, degree, bits), degree, seed=spec.seed)
    nodes = node_table(rng, degree, bits)
    errors = tables.pop("node_errors")
    for name, table in tables.items():
        job.staging.write_table(name, table)
    job.staging.write_table("accuracy", accuracy_by_degree(nodes))
    job.staging.write_table("nodes", pd.concat([nodes, errors], axis=1))
    job.staging.write_table("edges", pd.DataFrame({"source": rng.permutation(NODES), "target": np.arange(NODES)}))
    job.staging.write_table("gradients", gradients(rng, degree, bits))
    job.staging.write_table("smoothness", smoothness(int(spec.arch_settings.get("layers", 2)), bits))
    job.staging.write_table("metrics", curve(spec.epochs, bits))
    job.staging.write_table("sites", trace(spec.epochs, bits))
    job.staging.write_json("provenance", {"packages": {"torch": "2.13.0"}, "threads": 1, "citations": ["tailor2021"]})
    accuracy = 0.8 - 0.4 / bits + 0.01 * spec.seed
    job.finish({"val_accuracy": accuracy, "test_accuracy": accuracy - 0.01, "test_accuracy_integer": None,
                "epoch_ms_median": 5.0, "wall_s": 1.5, "size_bytes": 1_000 * bits, "flip_rate": 0.1,
                "feature_bits": float(bits), "tensor_bits": float(bits), "feature_bytes": 500.0 * bits})  # fmt: skip


def views(rng: np.random.Generator, degree: np.ndarray[Any, Any], bits: int) -> list[SiteView]:
    """Rows whose size grows with in-degree, and the grid of their extremes."""
    found = []
    for order, (key, layer, site) in enumerate(KEYS):
        x = (rng.normal(size=(NODES, CHANNELS)) * np.sqrt(degree)[:, None]).astype(np.float32)
        lo, hi = float(x.min()), float(x.max())
        scale = (hi - lo) / (2**bits - 1) if bits < 32 else 1.0
        xq = (np.round((x - lo) / scale) * scale + lo).astype(np.float32) if bits < 32 else x
        found.append(SiteView(key, layer, "", site, order, bits, True, lo, hi, scale, 0.0, x, xq, reference=x))
    return found


def node_table(rng: np.random.Generator, degree: np.ndarray[Any, Any], bits: int) -> pd.DataFrame:
    label = rng.integers(0, CLASSES, NODES)
    wrong = rng.random(NODES) < 0.2 + 0.4 / bits
    prediction = np.where(wrong, (label + 1) % CLASSES, label)
    frame = pd.DataFrame({"node": np.arange(NODES), "graph": 0, "degree": degree, "label": label, "split": "test",
                          "prediction_twin": label, "prediction": prediction, "prediction_integer": None,
                          "protection": 0.1, "protected_frequency": np.nan})  # fmt: skip
    return frame.astype({"prediction_integer": "Int64"})


def gradients(rng: np.random.Generator, degree: np.ndarray[Any, Any], bits: int) -> pd.DataFrame:
    x, dy = rng.random((NODES, CHANNELS)), rng.random((NODES, CLASSES))
    layer = WeightGradient(("0/weight", 0, "", "weight"), x, dy, np.ones((CLASSES, CHANNELS)))
    moved = [[replace(layer, dy=dy + rng.normal(size=dy.shape) / bits)]]
    return gradient_table(degree, [layer], {"own": moved, "ste": moved} if bits < 32 else {})


def smoothness(depth: int, bits: int) -> pd.DataFrame:
    step = np.arange(1, depth + 1)
    energy = 0.5**step
    error = 0.1 * step / bits if bits < 32 else 0.0
    table = pd.DataFrame({"step": step, "energy": energy, "energy_twin": energy, "layer_error": error})
    return table.assign(squares=1.0, squares_twin=1.0, change=0.25, change_energy=0.25, multiplier=np.nan)


def trace(epochs: int, bits: int) -> pd.DataFrame:
    """A range that widens at one site; nothing at full precision."""
    rows = [
        (epoch, "1/aggregate", 1, "", "aggregate", bits, -epoch / 10, epoch / 5, 0.1, 0.0) for epoch in range(epochs)
    ]
    return pd.DataFrame(rows if bits < 32 else [], columns=list(map(str, TABLES["sites"])))


def curve(epochs: int, bits: int) -> pd.DataFrame:
    steps = np.arange(1, epochs + 1)
    rise = 0.8 - 0.4 / bits - 0.5 / steps
    return pd.DataFrame({"epoch": steps, "loss_train": 2 / steps, "loss_val": 2.1 / steps, "accuracy_train": rise,
                         "accuracy_val": rise, "epoch_ms": 5.0})  # fmt: skip


def measure(job: Job, about: dict[str, Any] | None = None) -> None:
    """Latency of one run: float peers and one exact integer backend. about: what the summary says."""
    base = {
        "graph": "cora",
        "num_nodes": NODES,
        "num_edges": 4 * NODES,
        "features": CHANNELS,
        "threads": 1,
        "repeats": 30,
    }
    rows = [
        ("gcn", "pyg", "fp32", 4.0, None),
        ("gcn", "fbgemm", "fp32", 2.0, None),
        ("gcn", "numba", "int8", 1.0, True),
        ("spmm", "pyg", "fp32", 2.0, None),
        ("spmm", "numba", "int8", 0.5, True),
    ]
    names = ("op", "backend", "precision", "median_ms", "exact")
    table = pd.DataFrame([{**base, **dict(zip(names, row, strict=True)), "bytes_moved": 1_000_000} for row in rows])
    table = table.assign(p10_ms=0.9 * table["median_ms"], p90_ms=1.2 * table["median_ms"], accuracy=0.7)
    table = table.assign(size_bytes=1_000, feature_bytes=100_000)
    job.staging.write_table("latency", table)
    job.finish(about or {})


def study(name: str = "Digits, two methods", **names: str) -> Study:
    """FP32, QAT and Degree-Quant in INT8 and INT4, two seeds; `names` replaces dataset, arch or method."""
    plain = {"dataset": "cora", "arch": "gcn", **names}
    specs = {
        spec.digest: spec
        for method in ([names["method"]] if "method" in names else ["fp32", "qat", "dq"])
        for bits in (8, 4)
        for seed in (0, 1)
        for spec in [RunSpec(**{**plain, "method": method, "bits": bits, "seed": seed, "epochs": 5})]
    }
    return Study(name=name, runs=tuple(specs.values()))
