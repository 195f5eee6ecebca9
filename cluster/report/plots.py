"""Which plots a result has, as lines, dots, cells and marks; `drawing` draws them. Pure.

A plot is made of panels of one size, one for each place or policy, so that a page can lay them out in as many columns
as fit. Every panel says in words what it shows, for those who cannot see it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.report.record import Record

Point = tuple[float, float]
NAME_MAX = 28
"""Letters of a name beside or above a panel; longer ones would leave it no room."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `stroke` is its number in the palette; `note` stands beside it, where it is half of its height."""

    label: str
    points: tuple[Point, ...]
    stroke: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault: when it began, and when it was undone, None for never or for nothing to undo."""

    at: float
    until: float | None
    label: str


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over a common axis. `log` is for an x axis of times that differ by orders of magnitude; `step` for counts
    by the second; `share` for a y axis from 0 to 100 %."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    alt: str
    marks: tuple[Mark, ...] = ()
    log: bool = False
    step: bool = False
    share: bool = False
    x_range: tuple[float, float] | None = None
    y_max: float | None = None
    """Those of all panels of the plot, so that they can be compared; from `aligned`."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A heat map of shares from 0 to 1; None is an empty cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    alt: str


@dataclass(frozen=True, slots=True)
class Dots:
    """Values of several kinds for each of some places, in ms on a logarithmic axis; a line's points are x and row."""

    title: str
    x_label: str
    rows: tuple[str, ...]
    kinds: tuple[Line, ...]
    alt: str


Panel = Curves | Cells | Dots


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels that belong together. `slug` names their files."""

    slug: str
    title: str
    caption: str
    panels: tuple[Panel, ...]

    @property
    def key(self) -> list[tuple[str, int]]:
        """Label and stroke of every line, each once; empty where there is only one."""
        lines = [line for panel in self.panels for line in lines_of(panel)]
        found = sorted({line.stroke: line.label for line in lines}.items())
        return [(label, stroke) for stroke, label in found] if len(found) > 1 else []


def aligned(panels: Iterable[Curves]) -> tuple[Curves, ...]:
    """The panels that have something to show, with common axes."""
    kept = [panel for panel in panels if panel.lines]
    points = [point for panel in kept for line in panel.lines for point in line.points]
    if not points:
        return tuple(kept)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return tuple(replace(panel, x_range=(min(xs), max(xs)), y_max=max(ys)) for panel in kept)


def lines_of(panel: Panel) -> tuple[Line, ...]:
    """The lines, or the kinds of dots."""
    return panel.lines if isinstance(panel, Curves) else panel.kinds if isinstance(panel, Dots) else ()


def listing(words: Iterable[str]) -> str:
    """What a panel says to those who cannot see it, as sentences."""
    return " ".join(f"{word.rstrip('.')}." for word in words)


def policies(record: Record, found: Iterable[str]) -> list[str]:
    """Those found, in the order in which they were run."""
    ran = [str(row["policy"]) for row in record.table("conditions") if "policy" in row]
    return [one for one in unique([*ran, *found]) if one in set(found)]


def slug(name: str) -> str:
    """A series' name as a part of a file's."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def short(name: str) -> str:
    """A name that leaves a panel its room."""
    return name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}…"


def unique(values: Iterable[str]) -> list[str]:
    """Each once, in the order of their first appearance."""
    return list(dict.fromkeys(values))


def numbered(labels: Sequence[str]) -> dict[str, int]:
    """The stroke of each label, the same in all panels of a plot."""
    return {label: index for index, label in enumerate(labels)}


def pairs(xs: Iterable[float | None], ys: Iterable[float]) -> Iterator[Point]:
    """The points that are known."""
    return ((x, y) for x, y in zip(xs, ys, strict=True) if x is not None)
