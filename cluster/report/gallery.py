"""Every plot of a result, in the order in which one reads them. Pure."""

from __future__ import annotations

from cluster.report import course_plots, latency_plots, quantile_plots
from cluster.report.plots import Plot
from cluster.report.record import Record


def plots(record: Record) -> list[Plot]:
    """Every plot that this result has the series for."""
    found = [
        latency_plots.medians(record),
        quantile_plots.convergence(record),
        course_plots.lost(record),
        course_plots.answered(record),
        latency_plots.blast(record),
        course_plots.latency(record),
        quantile_plots.latency(record),
        *quantile_plots.others(record),
        *course_plots.others(record),
    ]
    return [plot for plot in found if plot is not None and plot.panels]
