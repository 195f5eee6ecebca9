"""Every plot of a result, in the order in which one reads them. Pure."""

from __future__ import annotations

import re

from cluster.report import course_plots, generic_plots, latency_plots, quantile_plots
from cluster.report.plots import Plot
from cluster.report.record import Record

STALENESS = "timeline-staleness"
SLUG = re.compile(r"blast-radius|latency-medians|timeline-.+|.+-(cdf|points)")
"""The slug of any plot that is made here."""


def plots(record: Record) -> list[Plot]:
    """Every plot that this result has the series for."""
    convergence, others = quantile_plots.convergence(record), [*generic_plots.others(record)]
    stale = [plot for plot in others if plot.slug == STALENESS and not _loses(record)]
    found = [
        latency_plots.medians(record),
        convergence if _about_revocations(record) else None,
        *stale,
        course_plots.lost(record),
        course_plots.answered(record),
        latency_plots.blast(record),
        None if _about_revocations(record) else convergence,
        course_plots.latency(record),
        quantile_plots.latency(record),
        *quantile_plots.others(record),
        *quantile_plots.points(record),
        *(plot for plot in others if plot not in stale),
    ]
    return [plot for plot in found if plot is not None and plot.panels]


def _loses(record: Record) -> bool:
    """Whether requests were lost: if not, what else happened by the second says more."""
    return any(row["lost"] for row in record.table("latency") if "lost" in row)


def _about_revocations(record: Record) -> bool:
    """Whether more is revoked than asked: then requests are what goes on beside it."""
    revoking, load = record.parameters.get("revocations") or {}, record.parameters.get("load") or {}
    return bool(revoking.get("per_s", 0) > load.get("arrivals_per_s", 0))
