"""Draws curves: lines, notes beside them, and marks above the axes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from cluster.report import palette
from cluster.report.measures import AXIS, BOLD_LETTER, LINE, SMALL, Colors, begin_of, marks_in_rows
from cluster.report.plots import Curves, Line

HEIGHTS = (0.5, 0.36, 0.64, 0.22, 0.78)
"""Of notes, the best one first."""
NOTE = 0.1
"""How high one is, as a share of the axis."""


def draw(axes: Axes, panel: Curves, colors: Colors) -> None:
    axes.grid(axis="y", color=colors["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    low, high = panel.x_range or (0.0, 1.0)
    for line in panel.lines:
        _line(axes, line, panel, colors)
    if panel.log:
        log_axis(axes, low, high)
    else:
        axes.set_xlim(low, max(high + 1, low + 2) if panel.step else high)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=panel.step))
    axes.set_ylim(0, 1.02 if panel.share else max(panel.y_max or 0.0, 1.0) * 1.12)
    if panel.share:
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(panel.x_label, color=colors["muted"], fontsize=SMALL)
    axes.set_ylabel(panel.y_label, color=colors["muted"], fontsize=SMALL)
    _marks(axes, panel, colors)
    _notes(axes, panel, colors)


def _line(axes: Axes, line: Line, panel: Curves, colors: Colors) -> None:
    stroke = palette.stroke(line.stroke)
    dash = "-" if not stroke.dash else (0, stroke.dash)
    xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
    if panel.step and xs:  # the last second is as wide as every other
        xs, ys = [*xs, xs[-1] + 1], [*ys, ys[-1]]
    style = {"drawstyle": "steps-post"} if panel.step else {}
    axes.plot(xs, ys, color=colors[stroke.color], linestyle=dash, linewidth=1.9, clip_on=not panel.share, **style)  # type: ignore[arg-type]


def log_axis(axes: Axes, low: float, high: float) -> None:
    """Room beside the curves, and round numbers."""
    axes.set_xscale("log")
    low, high = low / 1.25, high * 1.6
    if high / low < 6:
        middle = (low * high) ** 0.5
        low, high = middle / 2.5, middle * 2.5
    axes.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 60 else (1, 3) if high / low < 1000 else (1,)
    ticks = [step * 10.0**power for power in range(-2, 7) for step in steps]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _marks(axes: Axes, panel: Curves, colors: Colors) -> None:
    low, high = axes.get_xlim()
    for mark in panel.marks:
        if mark.until is not None:
            axes.axvspan(mark.at, min(mark.until, high), color=colors["fault"], alpha=0.13, linewidth=0)
        axes.axvline(
            mark.at, color=colors["fault"], linewidth=1.1 if mark.label else 0.7, alpha=1 if mark.label else 0.55
        )
    for mark, row in marks_in_rows(panel):
        begin = begin_of(mark, low, (high - low) / AXIS)
        axes.annotate(
            mark.label,
            (begin, 1),
            xytext=(2 if begin == mark.at else 0, 4 + LINE * row),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=colors["fault"],
            fontsize=SMALL,
            annotation_clip=False,
        )


def _notes(axes: Axes, panel: Curves, colors: Colors) -> None:
    """Each beside its line, near half of its height, where it is on no note and, if possible, on no line."""
    low, high = axes.get_xlim()
    taken: list[tuple[float, float, float]] = []
    for line in sorted((line for line in panel.lines if line.note), key=_middle):
        y, left, begin, end = _free(line, panel.lines, taken, low, high)
        taken.append((y, begin, end))
        axes.annotate(
            line.note,
            (_x_at(line, y), y),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            color=colors[palette.stroke(line.stroke).color],
            fontsize=SMALL,
            weight="bold",
            path_effects=[patheffects.withStroke(linewidth=3, foreground=colors["paper"])],
        )


def _free(
    line: Line, lines: Iterable[Line], taken: Iterable[tuple[float, float, float]], low: float, high: float
) -> tuple[float, bool, float, float]:
    """Height and side of a note, and from where to where it goes, as shares of the axis; the one that covers least."""

    def place(x: float) -> float:
        return math.log(x / low) / math.log(high / low)

    others = [other for other in lines if other is not line]
    best: tuple[float, tuple[float, bool, float, float]] | None = None
    for rank, y in enumerate(HEIGHTS):
        at = place(_x_at(line, y))
        for left in (False, True):
            room = (len(line.note) * BOLD_LETTER + 10) / AXIS
            begin, end = (at - room, at) if left else (at, at + room)
            cost = rank * 0.1 + (100 if begin < 0 or end > 1 else 0)
            cost += sum(10 for height, one, two in taken if abs(height - y) < NOTE and one < end and begin < two)
            cost += sum(2 for other in others if begin < place(_x_at(other, y)) < end)
            if best is None or cost < best[0]:
                best = cost, (y, left, begin, end)
    assert best is not None
    return best[1]


def _middle(line: Line) -> float:
    return _x_at(line, 0.5)


def _x_at(line: Line, y: float) -> float:
    """Where a rising line reaches a height, or ends."""
    return next((x for x, height in line.points if height >= y), line.points[-1][0])
