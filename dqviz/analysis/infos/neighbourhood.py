"""A node and the nodes that send to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.infos.worst_nodes import error_of
from dqviz.analysis.tables import ACCUMULATED
from dqviz.analysis.view import Array, Floats, Ints
from dqviz.analysis.words import NOTHING, count, number
from dqviz.naming import place

NEIGHBOURS = 60


@dataclass(frozen=True, eq=False)
class Neighbourhood(Info):
    """The centre first: ids, in-degree, relative error (NaN: unknown), flip, all [n]; `edges` [m, 2] of positions."""

    node: Ints
    edges: Ints
    degree: Ints
    error: Floats
    flip: Array


def neighbourhood(
    nodes: pd.DataFrame, edges: pd.DataFrame, centre: int, key: str, kind: str = ACCUMULATED
) -> Neighbourhood:
    """`centre`, the nodes that send to it (at most 60, largest errors first) and the edges among those shown.

    `nodes` and `edges`: tables of one run. The error is that of `worst_nodes` at this site.
    """
    alt = "A node in the middle and the nodes that send to it, coloured by relative error; flipped nodes are ringed."
    if centre >= len(nodes):
        none = np.zeros(0, dtype=np.int64)
        table = pd.DataFrame(columns=["node", "degree", "error_mean", "flip"])
        return Neighbourhood(NOTHING, alt, table, none, none.reshape(0, 2), none, none.astype(float), none.astype(bool))
    kind, column = error_of(nodes, key, kind)
    error = nodes[column].to_numpy(dtype=np.float64) if column in nodes else np.full(len(nodes), np.nan)
    ids, pairs, left_out = _around(centre, edges["source"].to_numpy(), edges["target"].to_numpy(), error)
    shown = nodes.iloc[ids]
    flip = (shown["prediction"] != shown["prediction_twin"]).to_numpy()
    degree = shown["degree"].to_numpy(dtype=np.int64)
    table = pd.DataFrame({"node": ids, "degree": degree, "error_mean": error[ids], "flip": flip})
    what = f"{'an' if kind == ACCUMULATED else 'a'} {kind} error"
    return Neighbourhood(_sentence(table, left_out, what, place(key)), alt, table, ids, pairs, degree,
                         error[ids], flip)  # fmt: skip


def _around(centre: int, source: Array, target: Array, error: Floats) -> tuple[Ints, Ints, int]:
    """Ids shown (centre first), edges as pairs of positions among them, and how many senders are left out."""
    senders = np.unique(source[target == centre])
    senders = senders[senders != centre]
    largest = np.argsort(-np.nan_to_num(error[senders]), kind="stable")[:NEIGHBOURS]
    ids = np.concatenate([[centre], senders[largest]]).astype(np.int64)
    position = np.full(len(error), -1, dtype=np.int64)
    position[ids] = np.arange(len(ids))
    pairs = np.stack([position[source], position[target]], axis=1)
    inside = (pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])
    return ids, pairs[inside], len(senders) - len(largest)


def _sentence(table: pd.DataFrame, left_out: int, what: str, where: str) -> str:
    centre, others = table.iloc[0], table.iloc[1:]
    more = f" ({left_out} more are not drawn)" if left_out else ""
    state = "flips" if centre["flip"] else "keeps its class"
    known = pd.notna(centre["error_mean"])
    size = number(float(centre["error_mean"])) if known else "unknown size"
    text = f"Node {centre['node']} has {what} of {size} at {where} and {state}"
    if others.empty:
        return f"{text}; no node sends to it."
    flips, mean = int(others["flip"].sum()), others["error_mean"].mean()
    theirs = f", with a mean error of {number(float(mean))}" if others["error_mean"].notna().any() else ""
    return (f"{text}; {count(len(others), 'neighbour')} {'sends' if len(others) == 1 else 'send'} to it{more}{theirs}, "
            f"and {flips or 'none'} of them {'flips' if flips < 2 else 'flip'}.")  # fmt: skip
