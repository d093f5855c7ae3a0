"""Sections of a report in their order: one a file, one line here."""

from __future__ import annotations

from dqviz.report.sections import (
    accuracy,
    aggregation,
    citations,
    degree,
    depth,
    differences,
    environment,
    gradients,
    latency,
    methods,
    one_site,
    protocol,
    ranges,
    sites,
    unfinished,
)
from dqviz.report.sections.base import Maker

SECTIONS: dict[str, Maker] = {
    module.MAKER.name: module.MAKER
    for module in (methods, differences, one_site, depth, degree, sites, ranges, aggregation, gradients, accuracy,
                   latency, unfinished, protocol, environment, citations)
}  # fmt: skip
