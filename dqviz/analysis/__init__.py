"""Numbers from arrays: numpy, pandas and scipy only."""

from dqviz.analysis.accuracy import accuracy_by_degree
from dqviz.analysis.analyse import analyse
from dqviz.analysis.group import Group, Identity, group_runs, seeds_by_variant
from dqviz.analysis.infos.accuracy_by_degree import accuracy_by_degree_info
from dqviz.analysis.infos.aggregation_exponents import aggregation_exponents
from dqviz.analysis.infos.aggregation_growth import aggregation_growth
from dqviz.analysis.infos.compare_table import compare_table
from dqviz.analysis.infos.degree_bands import degree_bands
from dqviz.analysis.infos.degree_histogram import degree_histogram
from dqviz.analysis.infos.depth import depth
from dqviz.analysis.infos.error_by_degree import error_by_degree
from dqviz.analysis.infos.error_parts import error_parts
from dqviz.analysis.infos.gradient_error import gradient_error
from dqviz.analysis.infos.growth import growth
from dqviz.analysis.infos.held_memory import held_memory
from dqviz.analysis.infos.latency import graphs_by_size, latency_bars, latency_operations
from dqviz.analysis.infos.learning_curves import learning_curves
from dqviz.analysis.infos.least_gain import least_gain
from dqviz.analysis.infos.levels_used import levels_used
from dqviz.analysis.infos.low_bit import low_bit_of
from dqviz.analysis.infos.mask_sample import mask_sample
from dqviz.analysis.infos.neighbourhood import neighbourhood
from dqviz.analysis.infos.one_site import one_site
from dqviz.analysis.infos.paired_differences import paired_differences
from dqviz.analysis.infos.pareto import known_cost, pareto
from dqviz.analysis.infos.protection_curve import protection_curve
from dqviz.analysis.infos.protection_frequency import protection_frequency
from dqviz.analysis.infos.range_trace import range_trace
from dqviz.analysis.infos.roofline import roofline
from dqviz.analysis.infos.scale_curve import scale_curve
from dqviz.analysis.infos.site_errors import site_errors
from dqviz.analysis.infos.site_histogram import site_histogram
from dqviz.analysis.infos.smoothness_by_layer import smoothness_by_layer
from dqviz.analysis.infos.widths_by_degree import widths_by_degree
from dqviz.analysis.infos.worst_nodes import worst_nodes
from dqviz.analysis.protection import protection
from dqviz.analysis.view import SiteView
from dqviz.naming import method_label

__all__ = [
    "Group",
    "Identity",
    "SiteView",
    "accuracy_by_degree",
    "accuracy_by_degree_info",
    "aggregation_exponents",
    "aggregation_growth",
    "analyse",
    "compare_table",
    "degree_bands",
    "degree_histogram",
    "depth",
    "error_by_degree",
    "error_parts",
    "gradient_error",
    "graphs_by_size",
    "group_runs",
    "growth",
    "held_memory",
    "known_cost",
    "latency_bars",
    "latency_operations",
    "learning_curves",
    "least_gain",
    "levels_used",
    "low_bit_of",
    "mask_sample",
    "method_label",
    "neighbourhood",
    "one_site",
    "paired_differences",
    "pareto",
    "protection",
    "protection_curve",
    "protection_frequency",
    "range_trace",
    "roofline",
    "scale_curve",
    "seeds_by_variant",
    "site_errors",
    "site_histogram",
    "smoothness_by_layer",
    "widths_by_degree",
    "worst_nodes",
]
