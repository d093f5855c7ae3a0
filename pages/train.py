"""Train: describe a study, see what it will cost and whom it protects, start it, watch it."""

from __future__ import annotations

from typing import Any

from dqviz import analysis, plots, ui


def new_study() -> None:
    name = ui.choose_preset()
    form, side = ui.halves()
    with form:
        plan = ui.plan_preset(name) if name else ui.plan_own()
        ui.show_launch(plan)
    with side, ui.shielded():
        show_data(plan)


def show_data(plan: ui.Plan) -> None:
    facts = ui.facts(plan.dataset, plan.settings)
    ui.show_facts(facts)
    name = f"{plan.dataset} {plan.settings}"
    ui.show(*ui.kept(name, degrees, facts), "degree-histogram", ("in-degree",), height=260)
    for low, high in plan.protections:
        drawn = ui.kept(name, curve, facts, low, high)
        ui.show(*drawn, f"protection-{low}-{high}", ("protection",), height=280)


def degrees(facts: dict[str, Any]) -> Any:
    info = analysis.degree_histogram(facts)
    return plots.plot_degree_histogram(info), info


def curve(facts: dict[str, Any], low: float, high: float) -> Any:
    info = analysis.protection_curve(facts, low, high)
    return plots.plot_protection_curve(info), info


def progress() -> None:
    study_id = ui.choose_own_study()
    ui.show_links()
    ui.refreshed(lambda: watch(study_id), ui.study_runs(study_id))


def watch(study_id: str) -> None:
    rows = ui.study_runs(study_id)
    ui.show_queue(rows)
    with ui.selectors():
        job = ui.choose_job(rows)
        curve = ui.choose_curve()
    ui.show_buttons(study_id, rows, job)
    show_curve(job, curve)
    ui.show_log(job)


def show_curve(job: ui.RunRow, curve: str) -> None:
    groups = analysis.group_runs([job.row()], ui.live_metrics)
    info = analysis.learning_curves(groups, curve)
    ui.show(plots.plot_learning_curves(info), info, "learning-curve")


with ui.page("train"):
    ui.show_views({"New study": new_study, "Progress": progress})
