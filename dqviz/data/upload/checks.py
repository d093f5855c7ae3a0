"""Is it a graph that a network can be trained on? Each check is one sentence; what is decided is said."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from dqviz.data.arrays import Array, Arrays, clean_edges, pack_features
from dqviz.data.splits import PARTS, planetoid_like
from dqviz.errors import BadInput


def checked(arrays: Arrays) -> tuple[Arrays, tuple[str, ...]]:
    """Packed arrays with int64 labels and edges and all three masks, and notes. Raises BadInput."""
    for name, meaning in {"edge_index": "edges", "x": "features", "y": "labels"}.items():
        if name not in arrays:
            raise BadInput(f"The upload holds no {name}: a graph needs {meaning}.")
    x = check_features(arrays["x"])
    y = check_labels(arrays["y"], len(x))
    edges, edge_notes = check_edges(arrays["edge_index"], len(x))
    masks, mask_notes = check_masks(arrays, y)
    return pack_features(x) | {"edge_index": edges, "y": y} | masks, (*edge_notes, *mask_notes)


def check_features(x: Array) -> Array:
    """x [num_nodes, num_features] float32, finite."""
    if x.ndim != 2:
        raise BadInput(f"x has {x.ndim} axis instead of 2 (nodes, features).")
    if x.shape[0] == 0:
        raise BadInput("The graph is empty: x has no rows.")
    if x.shape[1] == 0:
        raise BadInput("The nodes have no features: x has no columns.")
    with np.errstate(over="ignore", invalid="ignore"):
        small: Array = x.astype(np.float32)
    bad = np.argwhere(~np.isfinite(small))
    if len(bad):
        what = "too large for float32" if np.isfinite(x[tuple(bad[0])]) else "NaN or infinite"
        raise BadInput(f"x is {what} at node {bad[0][0]}, feature {bad[0][1]} ({len(bad)} such values in all).")
    return small


def check_labels(y: Array, num_nodes: int) -> Array:
    """y [num_nodes] int64 with every class from 0 to the largest present, two or more."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (num_nodes,):
        raise BadInput(f"y has shape {list(y.shape)}, but x has {num_nodes} rows: one label a node is needed.")
    if y.dtype.kind not in "iuf" or not np.all(np.isfinite(y)) or np.any(y != np.floor(y)):
        raise BadInput("y must hold whole numbers, one class a node.")
    if y.min() < 0:
        raise BadInput(f"y holds the negative label {int(y.min())}; classes count from 0.")
    # Labels above the number of nodes leave a gap for certain; saying so first keeps the cast below exact.
    present = distinct_labels(y) if y.max() < num_nodes else np.array([num_nodes])
    if len(present) != int(present[-1]) + 1:
        raise BadInput(f"y has gaps: its largest label is {int(y.max())}, but not every label from 0 to it occurs.")
    if len(present) < 2:
        raise BadInput("y holds a single class; two or more are needed.")
    return y.astype(np.int64)


def distinct_labels(y: Array) -> Array:
    return np.flatnonzero(np.bincount(y.astype(np.int64)))


def check_edges(edges: Array, num_nodes: int) -> tuple[Array, list[str]]:
    """Edges [2, num_edges] int64 between existing nodes, without self-loops and duplicates; notes say how many went."""
    if edges.dtype.kind not in "iu":
        raise BadInput("edge_index must hold whole numbers (an integer type): nodes are counted from 0.")
    if edges.ndim != 2 or edges.shape[0] != 2:
        hint = "; it looks transposed" if edges.ndim == 2 and edges.shape[1] == 2 else ""
        raise BadInput(f"edge_index has shape {list(edges.shape)} instead of [2, edges]{hint}.")
    if edges.shape[1] == 0:
        raise BadInput("The graph is empty: edge_index has no edges.")
    if edges.min() < 0:
        raise BadInput(f"edge_index holds the negative node {int(edges.min())}; nodes count from 0.")
    if edges.max() >= num_nodes:
        raise BadInput(
            f"edge_index names node {int(edges.max())}, but x has {num_nodes} rows (nodes 0 to {num_nodes - 1})."
        )
    clean = clean_edges(edges, num_nodes)
    if clean.shape[1] == 0:
        raise BadInput("The graph is empty: all its edges are self-loops.")
    loops = int((edges[0] == edges[1]).sum())
    twice = edges.shape[1] - loops - clean.shape[1]
    return clean, [f"Removed {loops} self-loops and {twice} duplicate edges."] if loops or twice else []


def check_masks(arrays: Arrays, y: Array) -> tuple[Arrays, list[str]]:
    """Three boolean masks [num_nodes], none empty, none overlapping; drawn and said where the upload has none."""
    names = [f"{part}_mask" for part in PARTS]
    given = [name for name in names if name in arrays]
    if not given:
        return draw_masks(y)
    if len(given) < len(names):
        raise BadInput(f"The upload holds {', '.join(given)} but not all of {', '.join(names)}: give all or none.")
    masks = {name: check_mask(name, arrays[name], len(y)) for name in names}
    for a, b in combinations(names, 2):
        both = np.flatnonzero(masks[a] & masks[b])
        if len(both):
            raise BadInput(f"{a} and {b} overlap: node {both[0]} is in both ({len(both)} such nodes in all).")
    return masks, []


def check_mask(name: str, mask: Array, num_nodes: int) -> Array:
    if mask.shape != (num_nodes,):
        raise BadInput(f"{name} has shape {list(mask.shape)}, but x has {num_nodes} rows: one value a node is needed.")
    if not np.all((mask == 0) | (mask == 1)):
        raise BadInput(f"{name} must hold booleans, or 0 and 1.")
    if not mask.any():
        raise BadInput(f"{name} is empty: no node is in it.")
    return mask.astype(np.bool_)


def draw_masks(y: Array) -> tuple[Arrays, list[str]]:
    masks = planetoid_like(y, seed=0)
    sizes = {part: int(mask.sum()) for part, mask in masks.items()}
    if not all(sizes.values()):
        raise BadInput(f"A graph of {len(y)} nodes is too small to be split into training, validation and test nodes.")
    counts = f"{sizes['train']} training, {sizes['val']} validation and {sizes['test']} test nodes"
    note = f"No masks were given: {counts} were drawn with seed 0."
    return {f"{part}_mask": mask for part, mask in masks.items()}, [note]
