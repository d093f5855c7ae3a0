"""Before launch: presets, what a study will cost, consent for very large ones, and the button that starts it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dqviz.errors import BadInput
from dqviz.runs.presets import preset, preset_titles, presets
from dqviz.spec import MAX_RUNS_UNASKED, Scalar, Study
from dqviz.ui.estimate import estimate
from dqviz.ui.jobs import act
from dqviz.ui.names import plain
from dqviz.ui.page import Figure, show_figures
from dqviz.ui.plan import build, needs_consent
from dqviz.ui.select import labelled
from dqviz.ui.store import known, ledger, studies
from dqviz.ui.train_form import own_draft

OWN = "My own study"
FIRST = ("demo", "cora-quick", "dq-cora", "dq-citeseer", "lowbit-cora", "lowbit-citeseer")
"""Presets that come first, the quickest before the rest."""


@dataclass(frozen=True)
class Plan:
    """What is about to be started, or the one sentence that says why it cannot be."""

    dataset: str
    settings: dict[str, Scalar]
    study: Study | None = None
    problem: str = ""

    @property
    def protections(self) -> list[tuple[float, float]]:
        """Pairs (p_min, p_max) of its methods that protect nodes, each once."""
        pairs: dict[tuple[float, float], None] = {}
        for spec in self.study.runs if self.study else ():
            fields = known().row("method", spec.method).schema.get("properties", {})
            if "p_min" in fields and "p_max" in fields:
                low, high = (spec.method_settings.get(name, fields[name]["default"]) for name in ("p_min", "p_max"))
                pairs[float(low), float(high)] = None
        return list(pairs)


def choose_preset() -> str:
    """Name of a preset; '' for a study of one's own."""
    titles = preset_titles()
    ordered = [*FIRST, *(name for name in titles if name not in FIRST)]
    options = {OWN: ""} | {titles[name]: name for name in ordered}
    return options[st.pills("Start from", list(options), default=OWN, required=True, key="preset", wrap=True)]


def plan_preset(name: str) -> Plan:
    """The study of a preset, with its summary on the page."""
    st.markdown(presets()[name])
    study = preset(name)
    return Plan(study.runs[0].dataset, study.runs[0].dataset_settings, study)


def plan_own() -> Plan:
    """The study the form describes."""
    draft = own_draft()
    settings = draft.settings.get(draft.dataset, {})
    try:
        return Plan(draft.dataset, settings, build(draft, known()))
    except BadInput as error:
        return Plan(draft.dataset, settings, problem=str(error))


def show_launch(plan: Plan) -> None:
    """Number of runs, time, and the start button; or what is wrong. More than 2,000 runs ask once more."""
    if plan.study is None:
        st.error(plain(plan.problem), icon=":material/error:")
        return
    show_cost(plan.study)
    allowed = True
    if needs_consent(plan.study):
        allowed = st.checkbox(f"Yes, start {len(plan.study.runs):,} runs (more than {MAX_RUNS_UNASKED:,}).")
    st.button("Start training", type="primary", icon=":material/play_arrow:", disabled=not allowed,
              on_click=act, args=(_start, plan.study), key="start")  # fmt: skip


def show_cost(study: Study) -> None:
    """Runs and time, before anything is started."""
    cost = estimate(study, [row.row() for row in ledger().runs(states=["finished"])])
    epochs = ", ".join(f"{number:,}" for number in sorted({spec.epochs for spec in study.runs}))
    reused = f"{cost.done} trained before are reused" if cost.done else f"{epochs} epochs each"
    missing = f"{cost.unknown} not measured yet" if cost.unknown else "from measured epochs"
    show_figures([
        Figure("Runs", f"{len(study.runs):,}", "One training each; every seed counts.", reused),
        Figure("Estimated time", cost.text, cost.reason, missing),
    ])  # fmt: skip


def _start(study: Study) -> None:
    """Queues the study and turns to its progress."""
    study_id = ledger().submit(study)
    st.session_state["view"] = "Progress"
    st.session_state["study"] = next(label for label, row in labelled(studies()).items() if row.study_id == study_id)
