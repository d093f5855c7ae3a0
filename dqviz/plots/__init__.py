"""Figures from infos: `plot_x(info)` only draws what `dqviz.analysis.x` has computed."""

from dqviz.plots import style
from dqviz.plots.accuracy_by_degree import plot_accuracy_by_degree
from dqviz.plots.aggregation_exponents import plot_aggregation_exponents
from dqviz.plots.aggregation_growth import plot_aggregation_growth
from dqviz.plots.compare import plot_compare_table, plot_paired_differences, plot_pareto
from dqviz.plots.degree_bands import plot_degree_bands
from dqviz.plots.degree_histogram import plot_degree_histogram
from dqviz.plots.depth import plot_depth
from dqviz.plots.error_by_degree import plot_error_by_degree
from dqviz.plots.error_parts import plot_error_parts
from dqviz.plots.gradient_error import plot_gradient_error
from dqviz.plots.growth import plot_growth
from dqviz.plots.held_memory import plot_held_memory
from dqviz.plots.latency import plot_latency_bars, plot_latency_operations
from dqviz.plots.learning_curves import plot_learning_curves
from dqviz.plots.network import plot_mask_sample, plot_neighbourhood
from dqviz.plots.one_site import plot_one_site
from dqviz.plots.protection_curve import plot_protection_curve
from dqviz.plots.protection_frequency import plot_protection_frequency
from dqviz.plots.range_trace import plot_range_trace
from dqviz.plots.roofline import plot_roofline
from dqviz.plots.scale_curve import plot_scale_curve
from dqviz.plots.site_histogram import plot_site_histogram
from dqviz.plots.sites import plot_levels_used, plot_site_errors
from dqviz.plots.smoothness_by_layer import plot_smoothness_by_layer
from dqviz.plots.widths_by_degree import plot_widths_by_degree
from dqviz.plots.worst_nodes import plot_worst_nodes

__all__ = [
    "plot_accuracy_by_degree",
    "plot_aggregation_exponents",
    "plot_aggregation_growth",
    "plot_compare_table",
    "plot_degree_bands",
    "plot_degree_histogram",
    "plot_depth",
    "plot_error_by_degree",
    "plot_error_parts",
    "plot_gradient_error",
    "plot_growth",
    "plot_held_memory",
    "plot_latency_bars",
    "plot_latency_operations",
    "plot_learning_curves",
    "plot_levels_used",
    "plot_mask_sample",
    "plot_neighbourhood",
    "plot_one_site",
    "plot_paired_differences",
    "plot_pareto",
    "plot_protection_curve",
    "plot_protection_frequency",
    "plot_range_trace",
    "plot_roofline",
    "plot_scale_curve",
    "plot_site_errors",
    "plot_site_histogram",
    "plot_smoothness_by_layer",
    "plot_widths_by_degree",
    "plot_worst_nodes",
    "style",
]
