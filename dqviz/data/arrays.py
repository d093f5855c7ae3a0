"""Graphs as named numpy arrays: what caches and uploads hold. No torch here: the upload parser imports this."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from dqviz.data.paths import cache_dir

Array = NDArray[Any]
Arrays = dict[str, Array]

SPARSE_BELOW = 0.12
"""Share of non-zeros under which features are kept as CSR (PubMed, at 0.10, is the densest bag of words used)."""

_LAYOUT = "1"  # part of each cache key: raise it when what `build` returns changes


def pack_features(x: Array) -> Arrays:
    """Dense [num_nodes, num_features] as {'x'}, or as CSR {'x_ptr', 'x_col', 'x_val', 'x_shape'} where mostly zero."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    if np.count_nonzero(x) >= SPARSE_BELOW * x.size:
        return {"x": x}
    row, col = np.nonzero(x)
    return {
        "x_ptr": np.concatenate([[0], np.cumsum(np.bincount(row, minlength=x.shape[0]))]).astype(np.int64),
        "x_col": col.astype(np.int64),
        "x_val": x[row, col],
        "x_shape": np.array(x.shape, dtype=np.int64),
    }


def distinct(keys: Array) -> Array:
    """Sorted distinct values. np.unique of numpy 2.3 hashes integers: 1.1 s for 2 million keys, sorting 0.15 s."""
    ordered = np.sort(keys, axis=None)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def clean_edges(edge_index: Array, num_nodes: int) -> Array:
    """Edges [2, num_edges] sorted by target, without self-loops and duplicates."""
    source, target = edge_index[0].astype(np.int64), edge_index[1].astype(np.int64)
    keep = source != target
    key = distinct(target[keep] * num_nodes + source[keep])
    return np.stack([key % num_nodes, key // num_nodes])


def remembered(name: str, sources: Iterable[Path], build: Callable[[], Arrays]) -> Arrays:
    """`build()`, kept in the cache folder until one of the source files changes; a damaged cache file is remade."""
    stamps = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in sources]
    digest = hashlib.sha256("|".join([_LAYOUT, *stamps]).encode()).hexdigest()[:16]
    path = cache_dir() / f"{name}-{digest}.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        arrays = build()
    # The cache only saves time: a full disk must not stop a training that can go on without it.
    with contextlib.suppress(OSError):
        write_whole(path, save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
    return arrays


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name, fsync, rename: readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
