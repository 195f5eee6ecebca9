"""Draws cells of shares, and dots on rows."""

from __future__ import annotations

from typing import Any, Literal

from matplotlib.axes import Axes

from cluster.report import palette
from cluster.report.draw_curves import log_axis
from cluster.report.measures import MARKERS, SLANT, SMALL, Colors
from cluster.report.plots import Cells, Dots

NEAR = 1.15
"""Values that differ by less have one number."""


def cells(axes: Axes, panel: Cells, colors: Colors) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(0, len(panel.columns))
    axes.set_ylim(len(panel.rows), 0)
    for y, row in enumerate(panel.values):
        for x, value in enumerate(row):
            _cell(axes, x, y, value, colors)
    axes.xaxis.tick_top()
    axes.set_xticks(
        [x + 0.5 for x in range(len(panel.columns))], panel.columns, rotation=SLANT, ha="left", rotation_mode="anchor"
    )
    axes.set_yticks([y + 0.5 for y in range(len(panel.rows))], panel.rows)
    axes.tick_params(length=0)


def _cell(axes: Axes, x: int, y: int, value: float | None, colors: Colors) -> None:
    if value is None:
        return
    strength = 0.0 if value == 0 else 0.12 + 0.5 * value
    area = axes.fill([x + 0.03, x + 0.97, x + 0.97, x + 0.03], [y + 0.06, y + 0.06, y + 0.94, y + 0.94])[0]
    area.set(facecolor=colors["lost"] if value else colors["wash"], alpha=strength or 1, linewidth=0)
    shown = "0" if value == 0 else f"{value:.0%}" if value >= 0.01 else "< 1%"
    axes.text(x + 0.5, y + 0.5, shown, ha="center", va="center", color=colors["ink"], fontsize=SMALL)


def dots(axes: Axes, panel: Dots, colors: Colors) -> None:
    axes.grid(axis="x", color=colors["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    for row in range(len(panel.rows)):
        here = [x for line in panel.kinds for x, y in line.points if y == row]
        axes.plot([min(here), max(here)], [row, row], color=colors["rule"], linewidth=2.5, solid_capstyle="round")
        _value(axes, max(here), row, 8, "left", colors)
        if max(here) > min(here) * NEAR:
            _value(axes, min(here), row, -8, "right", colors)
    for line in panel.kinds:
        color, (xs, ys) = colors[palette.stroke(line.stroke).color], zip(*line.points, strict=True)
        axes.plot(xs, ys, MARKERS[line.stroke % 6], color=color, markersize=7 - line.stroke % 3, markeredgewidth=0)
    values = [x for line in panel.kinds for x, _ in line.points]
    log_axis(axes, min(values) / 1.5, max(values) * 1.5)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.set_xlabel(panel.x_label, color=colors["muted"], fontsize=SMALL)


def _value(axes: Axes, ms: float, row: int, offset: float, align: Literal["left", "right"], colors: Colors) -> None:
    shown = f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"
    at, where = (ms, row), (offset, 0)
    style: dict[str, Any] = {"color": colors["muted"], "fontsize": SMALL, "ha": align, "va": "center"}
    axes.annotate(shown, at, xytext=where, textcoords="offset points", **style)
