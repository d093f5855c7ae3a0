"""Quantizers that quantization-aware methods choose among (`quantizer: ...`): one line a kind.

Each is a file in `dqviz/quant` with its formula, source and gradient. Sites that a kind has nothing to say about (edges
and vectors of attention have no rows of nodes, no columns of features) are observed as one tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dqviz.methods.base import RangeSettings
from dqviz.quant.additive import additive
from dqviz.quant.columnrange import ColumnRange
from dqviz.quant.learned import LearnedQuantizer
from dqviz.quant.levels import LevelQuantizer
from dqviz.quant.observers import percentile_of
from dqviz.quant.powers import powers
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer
from dqviz.quant.rowrange import RowRange
from dqviz.quant.superposed import SuperposedQuantizer
from dqviz.quant.where import NODE_SITES, PARAMETERS, Site, Where


@dataclass(frozen=True)
class Asked:
    """For which site a quantizer is asked: the one that would observe it, its address, the method's settings."""

    observed: Quantizer
    where: Where
    settings: RangeSettings

    @property
    def qtype(self) -> QType:
        return self.observed.qtype


def of_nodes(where: Where) -> bool:
    """Whether rows are those of nodes (or, in a classifier, of graphs)."""
    return where.site in NODE_SITES and not where.edges


def learned(asked: Asked) -> Quantizer:
    return LearnedQuantizer(asked.qtype, symmetric=asked.where.site in PARAMETERS)


def rows(asked: Asked) -> Quantizer:
    where = asked.where
    return RowRange(asked.qtype) if of_nodes(where) or where.site is Site.WEIGHT else asked.observed


def columns(asked: Asked) -> Quantizer:
    """Output columns of a weight are its rows; a trained weight is all there, so nothing need be remembered of it."""
    where, settings = asked.where, asked.settings
    if where.site is Site.WEIGHT:
        return RowRange(asked.qtype)
    if not of_nodes(where):
        return asked.observed
    momentum = settings.momentum if settings.observer == "mom" else 0.0
    share = (settings.percentile or percentile_of(asked.qtype.bits)) if settings.observer == "per" else 0.0
    return ColumnRange(asked.qtype, momentum, share)


MAKERS: dict[str, Callable[[Asked], Quantizer]] = {
    "observed": lambda asked: asked.observed,
    "lsq": learned,
    "rows": rows,
    "columns": columns,
    "pow2": lambda asked: LevelQuantizer(asked.qtype, asked.observed.observer, powers),
    "apot": lambda asked: LevelQuantizer(asked.qtype, asked.observed.observer, additive),
    "ausn": lambda asked: SuperposedQuantizer(asked.qtype, asked.observed.observer),
}
WORKS: dict[tuple[str, Any], tuple[str, ...]] = {
    ("quantizer", "lsq"): ("esser2020", "bhalgat2020", "jain2020"),
    ("quantizer", "rows"): ("dettmers2022", "krishnamoorthi2018"),
    ("quantizer", "columns"): ("krishnamoorthi2018", "bondarenko2021"),
    ("quantizer", "pow2"): ("miyashita2016", "li2020apot"),
    ("quantizer", "apot"): ("li2020apot",),
    ("quantizer", "ausn"): ("liu2020ausn", "li2020apot"),
}
