"""What a chart shows of the chosen runs: layer and site, local or accumulated error, metric, split, cost, node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dqviz import naming
from dqviz.runs.ledger import RunRow
from dqviz.spec import FULL_PRECISION
from dqviz.ui import pick
from dqviz.ui.page import Nothing
from dqviz.ui.select import Chosen, Grouping, full_precision, network
from dqviz.ui.store import have, tables
from dqviz.ui.table import download_csv, headings

FIRST_SITES = ("aggregate", "update", "feature", "input")  # METHODS.md 1.1: aggregation is the error source


def choose_site(chosen: Chosen, table: str) -> str:
    """Layer (at first the last: it holds all errors so far), then site; the key of the site, such as '1/aggregate'."""
    keys = site_keys(chosen, table)
    if not keys:
        raise Nothing("The chosen runs hold no site of this kind.")
    quantized = set(site_keys(chosen, "ranges", quantized=True))
    layers = {naming.layer_label(layer): layer for layer in sorted({naming.split_key(key)[0] for key in keys})}
    gridded = {naming.split_key(key)[0] for key in quantized}
    first = [label for label, layer in layers.items() if layer in gridded]
    layer = pick.pick("Layer", "layer", layers, (first or list(layers))[-1], width=110)
    here = {_label(key, quantized): key for key in keys if naming.split_key(key)[0] == layer}
    return pick.pick("Site", "site", here, first_site(here, quantized), width=260)


def first_site(here: Mapping[str, str], quantized: set[str]) -> str:
    """Label of the site to begin with: quantized, and as near to the aggregation as there is one."""
    order = {site: place for place, site in enumerate(FIRST_SITES)}
    ranked = sorted(here.items(), key=lambda one: (one[1] not in quantized, order.get(one[1].split("/")[-1], 9)))
    return ranked[0][0]


def _label(key: str, quantized: set[str]) -> str:
    label = naming.site_label(*naming.split_key(key)[1:])
    return label if key in quantized else f"{label}, not quantized"


def site_keys(chosen: Chosen, table: str, quantized: bool = False) -> list[str]:
    """Keys of all sites of the chosen runs in order of execution; `quantized`: those with a grid (table ranges)."""
    read = tables(chosen.rows, table)
    seeds: dict[tuple[Any, ...], RunRow] = {}
    for row in chosen.rows:  # all seeds of a group have the same sites: one of them is enough
        seeds.setdefault((*network(row), row.method, row.bits_label, row.profile), row)
    found: dict[str, None] = {}
    for row in seeds.values():
        frame = read(row.run_id)
        if frame is None:
            continue
        rows = frame[frame["bits"] < FULL_PRECISION] if quantized else frame
        found |= dict.fromkeys(str(key) for key in rows["key"].unique())
    return list(found)


def choose_precision(chosen: Chosen, table: str) -> Chosen:
    """Full precision, where theory says what to expect, or the chosen runs."""
    full = full_precision(chosen, table)
    options = {"Full precision, every architecture": full} if full.rows else {}
    return pick.pick_short("Of", "of", {**options, "The chosen runs": chosen})


def choose_sum(chosen: Chosen) -> str:
    """Key of an aggregation; at first the last layer's."""
    keys = {naming.layer_label(naming.split_key(key)[0]): key for key in site_keys(chosen, "aggregation")}
    if not keys:
        raise Nothing("The chosen runs hold no aggregation.")
    return pick.pick("After the sum of", "sum", keys, list(keys)[-1], width=150)


def choose_weights(chosen: Chosen) -> str:
    """Key of a linear layer's weights whose gradient the chosen runs recorded. Nothing where none did."""
    keys = [key for key in site_keys(chosen, "gradients") if key.endswith("/weight")]
    if not keys:
        raise Nothing("These runs were trained before gradients were recorded; runs started now hold them.")
    return pick.pick("Weights", "weights", {naming.site_name(key): key for key in keys}, width=260)


def choose_rule() -> str:
    """Backward rule of the gradients table."""
    return pick.pick_short("Backward rule", "rule", {"Each method's own": "own", "Straight through for all": "ste"})


CURVES = {
    "Validation accuracy": "accuracy_val",
    "Training accuracy": "accuracy_train",
    "Training loss": "loss_train",
    "Validation loss": "loss_val",
}


def choose_curve() -> str:
    """Column of the metrics table."""
    return pick.pick("Curve", "curve", CURVES)


COSTS = {
    "Latency": "latency_ms",
    "Model size": "size_bytes",
    "Feature size": "feature_bytes",
    "Bits of features": "feature_bits",
    "Bits of all tensors": "tensor_bits",
}


def choose_cost(known: str) -> str:
    """What accuracy is set against; at first `known`, a cost that the runs tell."""
    return pick.pick_short("Against", "cost", COSTS, next(name for name, x in COSTS.items() if x == known))


def choose_baseline(grouping: Grouping, chosen: Chosen) -> str:
    """What groups are compared with: a group's label or, for each network its own, the first part of one.

    Full precision where there is one.
    """
    groups = [who.label for who in grouping(chosen.records)]
    labels = {label: label for label in (*(label.split(",")[0] for label in groups), *groups)}
    full = next((label for label in labels if label.startswith("FP32")), "")
    return str(pick.pick("Baseline", "baseline", labels, full))


def choose_split() -> str:
    """Which nodes the accuracy is counted on."""
    return pick.pick_short("Nodes", "split", {"Test": "test", "Validation": "val", "Training": "train", "All": "all"})


def choose_node(run: RunRow, worst: Sequence[int], count: int) -> int:
    """A node of the `count` of a run: one of the worst at this site, or the one that the address names."""
    if not have([run], "edges"):
        raise Nothing("This run was trained before edges were kept; runs started now show the neighbourhood of any "
                      "node.", url="")  # fmt: skip
    asked = str(st.session_state.get("node") or st.query_params.get("node", ""))
    named = [int(asked)] if asked.isdecimal() and int(asked) < count else []
    nodes = {str(node): node for node in (*worst, *named)}
    if not nodes:
        raise Nothing("No node has an error at this site.", url="")
    return pick.pick("Neighbourhood of node", "node", nodes)


def show_nodes(frame: pd.DataFrame, key: str = "worst") -> None:
    """Table of nodes; choosing a row opens its neighbourhood, as the drop-down below does."""
    nodes = [str(node) for node in frame["node"]]
    st.dataframe(frame, hide_index=True, column_config=headings(frame), height=246, key=key,
                 selection_mode="single-row", on_select=lambda: _open(key, nodes))  # fmt: skip
    download_csv(frame, key)


def _open(key: str, nodes: Sequence[str]) -> None:
    chosen = st.session_state[key]["selection"]["rows"]
    if chosen:
        st.session_state["node"] = nodes[chosen[0]]


def choose_kind() -> str:
    """'local' or 'accumulated' error."""
    return pick.pick_short("Error", "kind", {"Accumulated": "accumulated", "Local": "local"})


METRICS = {
    "Relative error": "error_mean",
    "MSE": "mse",
    "SQNR (dB)": "sqnr_db",
    "RMSE in steps (rmse/scale)": "rmse_scale",
}


def choose_metric() -> str:
    """Column of the degree table."""
    return pick.pick("Metric", "metric", METRICS)
