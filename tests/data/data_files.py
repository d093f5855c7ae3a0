"""Helpers of the data tests: which sets are here, small graphs as arrays, writers of the three upload formats."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from dqviz.data.paths import data_dir

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]
Files = dict[str, bytes]

EMBEDDED = ["digits-knn", "karate", "dc-sbm", "digits-grid"]
ON_DISK = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed", "computers": "Computers",
           "reddit-binary": "REDDIT-BINARY", "proteins": "PROTEINS", "mutag": "MUTAG",
           "mnist": "MNIST"}  # fmt: skip


def need(name: str) -> None:
    """Skip, and say so, where the data set's files are absent; in CI their absence is a failure."""
    root = data_dir()
    if name in EMBEDDED or (root and name in ON_DISK and (root / ON_DISK[name] / "raw").is_dir()):
        return
    message = f"data set {name} is not here: set DQVIZ_DATA to a folder that holds it"
    if os.environ.get("CI") and name in ON_DISK:
        pytest.fail(message)
    pytest.skip(message)


def copied(name: str, to: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The raw folder of a copy that may be written, where DQVIZ_DATA now points."""
    need(name)
    root = data_dir()
    assert root is not None
    raw = to / ON_DISK[name] / "raw"
    shutil.copytree(root / ON_DISK[name] / "raw", raw, copy_function=shutil.copyfile)
    raw.chmod(0o755)
    monkeypatch.setenv("DQVIZ_DATA", str(to))
    return raw


def graph(num_nodes: int = 30, classes: int = 3, masks: bool = True) -> Arrays:
    """A valid graph without self-loops and duplicates."""
    rng = np.random.default_rng(0)
    keys = rng.permutation(num_nodes * num_nodes)[: 4 * num_nodes]
    edges = np.stack([keys // num_nodes, keys % num_nodes])
    part = rng.permutation(num_nodes) % 3
    found: Arrays = {
        "edge_index": edges[:, edges[0] != edges[1]],
        "x": rng.random((num_nodes, 4)).astype(np.float32),
        "y": np.arange(num_nodes) % classes,
    }
    if masks:
        found |= {f"{name}_mask": part == i for i, name in enumerate(["train", "val", "test"])}
    return found


def npz(arrays: Arrays, compressed: bool = True) -> Files:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return {"graph.npz": file.getvalue()}


def safetensors(arrays: Arrays) -> Files:
    return {"graph.safetensors": save({name: np.ascontiguousarray(array) for name, array in arrays.items()})}


def csv(arrays: Arrays) -> Files:
    edges = "source,target\n" + "".join(f"{a},{b}\n" for a, b in arrays["edge_index"].T.tolist())
    width = arrays["x"].shape[1]
    names = [name for name in ("y", "train_mask", "val_mask", "test_mask") if name in arrays]
    lines = [",".join([*names, *(f"f{i}" for i in range(width))])]
    for i, row in enumerate(arrays["x"].tolist()):
        cells = [str(arrays[name][i].item() * 1) if i < len(arrays[name]) else "" for name in names]
        lines.append(",".join([*cells, *map(repr, row)]))
    return {"edges.csv": edges.encode(), "features.csv": "\n".join(lines).encode()}


def raw_npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of members as they are, valid arrays or not."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_header(text: str, body: bytes = b"") -> bytes:
    """A .npy of format 1.0 with any header text."""
    encoded = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded + body


def raw_safetensors(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body
