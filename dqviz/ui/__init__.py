"""The only package that imports streamlit: choices, charts, forms and jobs as the pages show them."""

from dqviz.runs.ledger import RunRow
from dqviz.ui.chart import show
from dqviz.ui.choices import (
    choose_baseline,
    choose_cost,
    choose_curve,
    choose_kind,
    choose_metric,
    choose_node,
    choose_site,
    choose_split,
    show_nodes,
)
from dqviz.ui.export import choose_sections, choose_studies, show_download, show_preview
from dqviz.ui.facts import facts
from dqviz.ui.headline import (
    accuracy_figure,
    accuracy_figures,
    error_figures,
    flip_figure,
    growth_figure,
    integer_figure,
    protection_figures,
    range_figures,
    report_figures,
    source_figure,
    speed_figures,
)
from dqviz.ui.jobs import show_jobs
from dqviz.ui.keep import drawer, kept
from dqviz.ui.launch import Plan, choose_preset, plan_own, plan_preset, show_launch
from dqviz.ui.nav import link, navigate
from dqviz.ui.page import (
    Figure,
    Nothing,
    configure,
    empty,
    halves,
    page,
    selectors,
    shielded,
    show_figures,
    show_starts,
    show_tabs,
    show_text,
    show_views,
)
from dqviz.ui.queue import choose_job, choose_own_study, refreshed, show_buttons, show_links, show_log, show_queue
from dqviz.ui.select import Chosen, choose_run, choose_runs, choose_study
from dqviz.ui.sliders import choose_probabilities, choose_sample_seed
from dqviz.ui.store import artifact, live_metrics, read_table, store, study_runs
from dqviz.ui.table import show_table
from dqviz.ui.timed import show_bandwidth, show_exactness, show_slower
from dqviz.ui.timing import show_measure, timings, widest_timing, with_costs
from dqviz.ui.train_form import choose_dataset, show_facts

__all__ = [
    "Chosen",
    "Figure",
    "Nothing",
    "Plan",
    "RunRow",
    "accuracy_figure",
    "accuracy_figures",
    "artifact",
    "choose_baseline",
    "choose_cost",
    "choose_curve",
    "choose_dataset",
    "choose_job",
    "choose_kind",
    "choose_metric",
    "choose_node",
    "choose_own_study",
    "choose_preset",
    "choose_probabilities",
    "choose_run",
    "choose_runs",
    "choose_sample_seed",
    "choose_sections",
    "choose_site",
    "choose_split",
    "choose_studies",
    "choose_study",
    "configure",
    "drawer",
    "empty",
    "error_figures",
    "facts",
    "flip_figure",
    "growth_figure",
    "halves",
    "integer_figure",
    "kept",
    "link",
    "live_metrics",
    "navigate",
    "page",
    "plan_own",
    "plan_preset",
    "protection_figures",
    "range_figures",
    "read_table",
    "refreshed",
    "report_figures",
    "selectors",
    "shielded",
    "show",
    "show_bandwidth",
    "show_buttons",
    "show_download",
    "show_exactness",
    "show_facts",
    "show_figures",
    "show_jobs",
    "show_launch",
    "show_links",
    "show_log",
    "show_measure",
    "show_nodes",
    "show_preview",
    "show_queue",
    "show_slower",
    "show_starts",
    "show_table",
    "show_tabs",
    "show_text",
    "show_views",
    "source_figure",
    "speed_figures",
    "store",
    "study_runs",
    "timings",
    "widest_timing",
    "with_costs",
]
