"""The Train form: data set, architectures, methods, bits, seeds, profile and, in a popover, all settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dqviz.runs.catalogue import Row
from dqviz.spec import BITS, PROFILES, Optimizer, Scalar
from dqviz.ui import pick, schema
from dqviz.ui.glossary import TERMS
from dqviz.ui.plan import Draft
from dqviz.ui.store import known
from dqviz.ui.upload import own_uploads, show_upload

OFFERED_BITS = tuple(bits for bits in BITS if bits != 32)  # fp32 is a method and has no bits to choose
DEFAULT_DATASET = "digits-knn"


def choose_dataset(label: str = "Data set") -> str:
    """A registered or uploaded data set, by name."""
    return pick.pick(label, "dataset", {name: name for name in known().names("dataset")} | own_uploads(),
                     DEFAULT_DATASET)  # fmt: skip


def own_draft() -> Draft:
    """The form, and what it holds now."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dataset = choose_dataset()
        show_upload()
    archs = _many("Architectures", "archs", known().rows("arch"), ["gcn"])
    methods = _many("Methods", "methods", known().rows("method"), ["fp32", "qat", "dq"])
    bits = st.pills("Bits", OFFERED_BITS, selection_mode="multi", default=[8, 4], key="bits",
                    format_func=lambda width: f"INT{width}", help="FP32 ignores them.", wrap=True)  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seeds = st.number_input("Seeds", value=3, step=1, key="seeds", help=TERMS["seeds"])
        epochs = st.number_input("Epochs", value=200, step=10, key="epochs")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        profile = st.segmented_control("Site profile", PROFILES, default="paper", required=True, key="profile",
                                       help=TERMS["profile"])  # fmt: skip
        with st.popover("Advanced settings", icon=":material/tune:"):
            settings, optimizer = _advanced({"dataset": [dataset], "arch": archs, "method": methods})
    suggested = f"{dataset}: {', '.join(methods)}"
    name = st.text_input("Name of the study", value=suggested, max_chars=120, key=f"name-{suggested}")
    return Draft(name, dataset, archs, methods, bits, int(seeds), int(epochs), profile, settings, optimizer)


def _many(label: str, key: str, rows: Sequence[Row], default: Sequence[str]) -> list[str]:
    names = [row.name for row in rows]
    labels = {row.name: str(row.facts.get("label", row.name)) for row in rows}
    summaries = "  \n".join(f"**{row.name}**: {row.summary}" for row in rows)
    return list(st.pills(label, names, selection_mode="multi", default=[name for name in default if name in names],
                         format_func=lambda name: labels[name], key=key, help=summaries, wrap=True))  # fmt: skip


def _advanced(chosen: Mapping[str, Sequence[str]]) -> tuple[dict[str, dict[str, Scalar]], dict[str, Scalar]]:
    """Settings of everything chosen, by name, and those of the optimizer: only what differs from the defaults."""
    settings: dict[str, dict[str, Scalar]] = {}
    for kind, names in chosen.items():
        for row in known().rows(kind):
            if row.name in names and row.schema.get("properties"):
                st.markdown(f"**{row.name}**  \n:gray[{row.summary}]")
                settings[row.name] = schema.settings(row.schema, f"set-{kind}-{row.name}")
    st.markdown("**Optimizer**  \n:gray[Adam, the same for all methods of this study.]")
    optimizer = schema.settings(Optimizer.model_json_schema(), "set-optimizer")
    return {name: values for name, values in settings.items() if values}, optimizer


def show_facts(facts: Mapping[str, Any]) -> None:
    """Counts of a data set in a sentence, and what its loader decided."""
    graphs = f"**{facts['graphs']:,}** graphs with " if facts["graphs"] > 1 else ""
    st.markdown(
        f"**{facts['name']}**: {graphs}**{facts['nodes']:,}** nodes, **{facts['edges']:,}** edges, "
        f"**{facts['features']:,}** features, **{facts['classes']:,}** classes. Largest in-degree "
        f"**{facts['max_in_degree']:,}**, mean {facts['mean_in_degree']:.1f}, {facts['isolated']:,} isolated nodes."
    )
    for note in facts.get("notes", ()):
        st.caption(note)
