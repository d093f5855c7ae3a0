"""The nodes with the largest error at one site."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dqviz.analysis.info import Info
from dqviz.analysis.tables import ACCUMULATED, LOCAL
from dqviz.analysis.words import NOTHING, count, number
from dqviz.columns import error_column
from dqviz.naming import place

SHOWN = ("node", "graph", "degree", "label", "split", "prediction_twin", "prediction", "prediction_integer")


@dataclass(frozen=True, eq=False)
class WorstNodes(Info):
    """`table` holds the nodes, worst first: columns of the nodes table, `flip` and `error_mean` (of this node)."""

    key: str
    kind: str


def worst_nodes(nodes: pd.DataFrame, key: str, n: int = 20, kind: str = ACCUMULATED) -> WorstNodes:
    """`nodes` of one run. Where the run has no error of this kind at the site, the local one is taken."""
    kind, column = error_of(nodes, key, kind)
    alt = f"Table of the nodes with the largest {kind} relative error at {place(key)}."
    if column not in nodes or not nodes[column].notna().any():
        return WorstNodes(NOTHING, alt, pd.DataFrame(columns=[*SHOWN, "flip", "error_mean"]), key, kind)
    chosen = nodes[nodes[column].notna()].nlargest(n, column)
    table = chosen[[name for name in SHOWN if name in chosen]].assign(
        flip=chosen["prediction"] != chosen["prediction_twin"], error_mean=chosen[column].astype(float)
    )
    return WorstNodes(_sentence(nodes, table, key, kind), alt, table.reset_index(drop=True), key, kind)


def error_of(nodes: pd.DataFrame, key: str, kind: str) -> tuple[str, str]:
    """Kind and column of the error at a site: the local one where the run has none of the kind asked for."""
    kind = kind if error_column(key, kind) in nodes else LOCAL
    return kind, error_column(key, kind)


def _sentence(nodes: pd.DataFrame, table: pd.DataFrame, key: str, kind: str) -> str:
    here, everywhere = table["degree"].median(), nodes["degree"].median()
    flips, rate = int(table["flip"].sum()), (nodes["prediction"] != nodes["prediction_twin"]).mean()
    return (f"The {count(len(table), 'node')} with the largest {kind} error at {place(key)} (up to "
            f"{number(float(table['error_mean'].max()))}) have a median in-degree of {here:g}, all nodes "
            f"{everywhere:g}; {flips} of them flip, over all nodes {100 * rate:.1f} % do.")  # fmt: skip
