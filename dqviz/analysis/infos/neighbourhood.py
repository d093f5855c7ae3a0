"""A worst node and the nodes that send to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.view import Array, Floats, Ints
from dqviz.analysis.words import NOTHING, count, number


@dataclass(frozen=True, eq=False)
class Neighbourhood(Info):
    """The centre first: ids, place, in-degree, relative error (NaN: unknown), flip, all [n]; `edges` [m, 2]."""

    node: Ints
    xy: Floats
    edges: Ints
    degree: Ints
    error: Floats
    flip: Array


def neighbourhood(piece: Mapping[str, Any]) -> Neighbourhood:
    """From one entry of a run's `neighbourhoods.json`: nodes (ids, centre first), edges (pairs of ids), and xy, degree,
    error, flip by id."""
    ids = [int(node) for node in piece.get("nodes", [])]
    position = {node: i for i, node in enumerate(ids)}
    edges = [[position[s], position[t]] for s, t in piece.get("edges", []) if s in position and t in position]
    xy, degree, error, flip = (_by_id(piece.get(name, {}), ids) for name in ("xy", "degree", "error", "flip"))
    table = pd.DataFrame({
        "node": ids, "degree": degree, "error_mean": pd.Series(error, dtype="float64"), "flip": flip,
    })  # fmt: skip
    values = table["error_mean"].to_numpy(dtype=np.float64)
    alt = "A node in the middle and the nodes that send to it, coloured by relative error; flipped nodes are ringed."
    places, pairs = np.asarray(xy, dtype=np.float64).reshape(-1, 2), np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    return Neighbourhood(_sentence(table, int(piece.get("left_out", 0))), alt, table, np.asarray(ids, dtype=np.int64),
                         places, pairs, np.asarray(degree, dtype=np.int64), values,
                         np.asarray(flip, dtype=bool))  # fmt: skip


def _by_id(values: Mapping[Any, Any], ids: list[int]) -> list[Any]:
    return [values.get(str(node), values.get(node)) for node in ids]


def _sentence(table: pd.DataFrame, left_out: int) -> str:
    if table.empty:
        return NOTHING
    centre, others = table.iloc[0], table.iloc[1:]
    more = f" ({left_out} more are not drawn)" if left_out else ""
    state = "flips" if centre["flip"] else "keeps its class"
    text = f"Node {centre['node']} has an error of {number(float(centre['error_mean']))} and {state}"
    if others.empty:
        return f"{text}; no node sends to it."
    flips = int(others["flip"].sum())
    return (f"{text}; {count(len(others), 'neighbour')} {'sends' if len(others) == 1 else 'send'} to it{more}, with a "
            f"mean error of {number(float(others['error_mean'].mean()))}, and {flips or 'none'} of them "
            f"{'flips' if flips < 2 else 'flip'}.")  # fmt: skip
