"""The measures of drawings, in pixels of a panel at its natural size. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cluster.report.plots import Cells, Curves, Dots, Mark, Panel

WIDTH = 348
"""Of a panel: what a narrow screen has."""
AXIS = WIDTH - 64
"""Of its x axis."""
CURVES_HEIGHT = 236
ROW = 24
LINE = 14
"""Of words above the axes."""
TYPE = 11.0
SMALL = 9.6
LETTER = 5.4
"""One letter of a label, on average."""
BOLD_LETTER = 6.2
SWATCH = 52
"""Of one entry of a legend, beside its letters."""
TITLE = 30
SLANT = 35
"""Degrees, of names above columns."""
MARKERS = "osD^vP"
"""Of dots, by their number in the palette."""
Colors = Mapping[str, str]


def size(panel: Panel) -> tuple[int, int]:
    """Its natural width and height in pixels."""
    if isinstance(panel, Dots):
        return WIDTH, 60 + ROW * len(panel.rows)
    if isinstance(panel, Cells):
        return WIDTH, 10 + slanted(panel)[0] + (ROW + 8) * len(panel.rows)
    return WIDTH, CURVES_HEIGHT + LINE * mark_rows(panel)


def slanted(panel: Cells) -> tuple[int, int]:
    """How far the names above the columns reach, up and past the last column."""
    longest, last = max(map(len, panel.columns)) * LETTER, len(panel.columns[-1]) * LETTER
    slant = math.radians(SLANT)
    return round(longest * math.sin(slant)) + 22, round(last * math.cos(slant)) - 8


def mark_rows(panel: Curves) -> int:
    return max((row for _, row in marks_in_rows(panel)), default=-1) + 1


def marks_in_rows(panel: Curves) -> list[tuple[Mark, int]]:
    """Every mark with words, in the first row above the axes where its words touch none before it."""
    named = [mark for mark in panel.marks if mark.label]
    low, high = panel.x_range or (0.0, 1.0)
    width = max(high + 1 - low, 2.0) / AXIS
    ends: list[float] = []
    found = []
    for mark in named:
        begin = begin_of(mark, low, width)
        row = next((index for index, end in enumerate(ends) if end < begin), len(ends))
        ends[row : row + 1] = [begin + (len(mark.label) * LETTER + 12) * width]
        found.append((mark, row))
    return found


def begin_of(mark: Mark, low: float, width: float) -> float:
    """Where its words begin: at the mark, or so far to the left of it that they end with the axes."""
    latest = low + (AXIS - len(mark.label) * LETTER) * width
    return max(low, min(mark.at, latest))
