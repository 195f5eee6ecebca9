"""Draws panels with matplotlib: into SVG for a page, and a whole plot into SVG or PNG for a paper or a slide.

In a page a panel is text in the page's own type and colours (`palette.variables`); in a file letters are outlines and
colours those of the light scheme, so that it looks the same everywhere. The same input gives the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import matplotlib as mpl
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from cluster.report import palette
from cluster.report.plots import Cells, Curves, Dots, Line, Mark, Panel, Plot

WIDTH = 348
"""Of a panel, in pixels at its natural size: what a narrow screen has."""
AXIS = WIDTH - 64
"""Of its x axis."""
CURVES_HEIGHT = 236
ROW = 24
TYPE = 11.0
SMALL = 9.6
LETTER = 5.4
"""Pixels of one letter of a label, on average."""
DPI = 72
PNG_DPI = 200
COLUMNS_MAX = 3
SLANT = 35
"""Degrees."""
MARKERS = "osD^vP"
HEIGHTS = (0.5, 0.36, 0.64, 0.22, 0.78)
"""Of notes, the best one first."""
NOTE = 0.1
"""How high one is, as a share of the axis."""
BOLD_LETTER = 6.2
NEAR = 1.15
"""Values that differ by less have one number."""
Colors = Mapping[str, str]
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": TYPE,
    "text.parse_math": False,
    "svg.hashsalt": "stsd",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
}
_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def page_svg(panel: Panel, prefix: str) -> str:
    """A panel for a page: `prefix` keeps its ids apart from those of other panels."""
    width, height = size(panel)
    with mpl.rc_context({**_SETTINGS, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        _draw(figure, figure.add_subplot(), panel, palette.MARKS)
        _place(figure, panel, width, height)
        text = _saved(figure, "svg", transparent=True).decode()
    return palette.variables(_tidy(text, prefix, panel))


def files(plot: Plot) -> Iterator[tuple[str, bytes]]:
    """The plot's files: name and content. All panels side by side."""
    with mpl.rc_context({**_SETTINGS, "svg.fonttype": "path"}):
        figure = _whole(plot, palette.LIGHT)
        yield f"{plot.slug}.svg", _saved(figure, "svg", facecolor=palette.LIGHT["paper"])
        yield f"{plot.slug}.png", _saved(figure, "png", facecolor=palette.LIGHT["paper"], dpi=PNG_DPI)


def picture(plot: Plot) -> str:
    """The whole plot as an SVG file for a page of text: light or dark as whoever looks at it has it."""
    with mpl.rc_context({**_SETTINGS, "svg.fonttype": "none"}):
        text = _saved(_whole(plot, palette.MARKS), "svg", facecolor=palette.MARKS["paper"]).decode()
    scheme = f":root {{ {palette.declarations(palette.LIGHT)} }}"
    scheme += f" @media (prefers-color-scheme: dark) {{ :root {{ {palette.declarations(palette.DARK)} }} }}"
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<!DOCTYPE[^>]*>", "", text, flags=re.DOTALL)
    text = re.sub(r"\bfont: ([\d.]+)px [^;\"]*", r"font-size: \1px", re.sub(r"\n\s*", "\n", text))
    scheme += " text { font-family: system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }"
    return palette.variables(re.sub(r"(<svg[^>]*>)", rf"\1<style>{scheme}</style>", text, count=1))


def size(panel: Panel) -> tuple[int, int]:
    """Its natural width and height in pixels."""
    if isinstance(panel, Dots):
        return WIDTH, 60 + ROW * len(panel.rows)
    if isinstance(panel, Cells):
        return WIDTH, 10 + _slanted(panel)[0] + (ROW + 8) * len(panel.rows)
    return WIDTH, CURVES_HEIGHT + 14 * _mark_rows(panel)


def _slanted(panel: Cells) -> tuple[int, int]:
    """How far the names above the columns reach, up and past the last column."""
    longest, last = max(map(len, panel.columns)) * LETTER, len(panel.columns[-1]) * LETTER
    slant = math.radians(SLANT)
    return round(longest * math.sin(slant)) + 22, round(last * math.cos(slant)) - 8


def _whole(plot: Plot, colors: Colors) -> Figure:
    columns = min(COLUMNS_MAX, len(plot.panels))
    rows = -(-len(plot.panels) // columns)
    width, height = WIDTH * columns, max(size(panel)[1] for panel in plot.panels)
    figure = Figure(figsize=(width / DPI, (height * rows + 34) / DPI), dpi=DPI, layout="constrained")
    figure.suptitle(plot.title, color=colors["ink"], fontsize=TYPE + 3, x=0.02, ha="left", weight="bold")
    if plot.key:
        handles = [_handle(plot.panels[0], stroke, colors) for _, stroke in plot.key]
        labels = [label for label, _ in plot.key]
        figure.legend(
            handles, labels, loc="outside lower left", ncols=3, frameon=False, labelcolor=colors["ink"], fontsize=SMALL
        )
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, one in enumerate(axes.flat):
        if index < len(plot.panels):
            _draw(figure, one, plot.panels[index], colors)
            one.set_title(
                plot.panels[index].title, loc="left", color=colors["ink"], fontsize=TYPE, pad=_pad(plot.panels[index])
            )
        else:
            one.set_axis_off()
    return figure


def _handle(panel: Panel, index: int, colors: Colors) -> Line2D:
    """One entry of a legend."""
    stroke = palette.stroke(index)
    if isinstance(panel, Dots):
        return Line2D([], [], color=colors[stroke.color], marker=MARKERS[index % 6], linestyle="", markeredgewidth=0)
    return Line2D(
        [], [], color=colors[stroke.color], linestyle="-" if not stroke.dash else (0, stroke.dash), linewidth=1.9
    )


def _pad(panel: Panel) -> float:
    return 8 + 14 * _mark_rows(panel) if isinstance(panel, Curves) else 8


def _place(figure: Figure, panel: Panel, width: int, height: int) -> None:
    """Margins in pixels, so that panels of one plot have their axes at the same places."""
    left, bottom, top, right = 52, 40, 12, 12
    if isinstance(panel, Cells | Dots):
        left = 14 + round(LETTER * max(map(len, panel.rows)))
    if isinstance(panel, Cells):
        bottom, top, right = 10, *_slanted(panel)
    if isinstance(panel, Curves):
        top += 14 * _mark_rows(panel)
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)


def _saved(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata=_METADATA if form == "svg" else {"Software": None}, **options)
    return buffer.getvalue()


def _tidy(svg: str, prefix: str, panel: Panel) -> str:
    """Only the element, its ids its own, its size the page's matter."""
    width, height = size(panel)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"\bfont: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    head = f'<svg viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false" version="1.1">'
    return re.sub(r"<svg[^>]*>", head, svg, count=1)


def _draw(figure: Figure, axes: Axes, panel: Panel, colors: Colors) -> None:
    for spine in axes.spines.values():
        spine.set_color(colors["rule"])
    axes.tick_params(colors=colors["muted"], labelsize=SMALL, labelcolor=colors["muted"])
    axes.set_facecolor("none")
    if isinstance(panel, Curves):
        _curves(axes, panel, colors)
    elif isinstance(panel, Cells):
        _cells(axes, panel, colors)
    else:
        _dots(axes, panel, colors)


def _curves(axes: Axes, panel: Curves, colors: Colors) -> None:
    axes.grid(axis="y", color=colors["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    low, high = panel.x_range or (0.0, 1.0)
    for line in panel.lines:
        _line(axes, line, panel, colors)
    if panel.log:
        _log_axis(axes, low, high)
    else:
        axes.set_xlim(low, max(high + 1, low + 2))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
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


def _line(axes: Axes, line: Line, panel: Curves, colors: Colors) -> None:
    stroke = palette.stroke(line.stroke)
    dash = "-" if not stroke.dash else (0, stroke.dash)
    xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
    style = {"drawstyle": "steps-post"} if panel.step else {}
    axes.plot(xs, ys, color=colors[stroke.color], linestyle=dash, linewidth=1.9, clip_on=not panel.share, **style)  # type: ignore[arg-type]


def _log_axis(axes: Axes, low: float, high: float) -> None:
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


def _mark_rows(panel: Curves) -> int:
    return max((row for _, row in _rows(panel)), default=-1) + 1


def _rows(panel: Curves) -> list[tuple[Mark, int]]:
    """Every mark with words, in the first row above the axes where its words touch none before it."""
    named = [mark for mark in panel.marks if mark.label]
    low, high = panel.x_range or (0.0, 1.0)
    width = max(high + 1 - low, 2.0) / AXIS
    ends: list[float] = []
    found = []
    for mark in named:
        begin = _begin(mark, low, width)
        row = next((index for index, end in enumerate(ends) if end < begin), len(ends))
        ends[row : row + 1] = [begin + (len(mark.label) * LETTER + 12) * width]
        found.append((mark, row))
    return found


def _begin(mark: Mark, low: float, width: float) -> float:
    """Where its words begin: at the mark, or so far to the left of it that they end with the axes."""
    latest = low + (AXIS - len(mark.label) * LETTER) * width
    return max(low, min(mark.at, latest))


def _marks(axes: Axes, panel: Curves, colors: Colors) -> None:
    low, high = axes.get_xlim()
    for mark in panel.marks:
        if mark.until is not None and mark.label:
            axes.axvspan(mark.at, min(mark.until, high), color=colors["fault"], alpha=0.13, linewidth=0)
        axes.axvline(
            mark.at, color=colors["fault"], linewidth=1.1 if mark.label else 0.7, alpha=1 if mark.label else 0.55
        )
    for mark, row in _rows(panel):
        begin = _begin(mark, low, (high - low) / AXIS)
        axes.annotate(
            mark.label,
            (begin, 1),
            xytext=(2 if begin == mark.at else 0, 4 + 14 * row),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=colors["fault"],
            fontsize=SMALL,
            annotation_clip=False,
        )


def _cells(axes: Axes, panel: Cells, colors: Colors) -> None:
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


def _dots(axes: Axes, panel: Dots, colors: Colors) -> None:
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
    _log_axis(axes, min(values) / 1.5, max(values) * 1.5)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.set_xlabel(panel.x_label, color=colors["muted"], fontsize=SMALL)


def _value(axes: Axes, ms: float, row: int, offset: float, align: Literal["left", "right"], colors: Colors) -> None:
    shown = f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"
    at, where = (ms, row), (offset, 0)
    style: dict[str, Any] = {"color": colors["muted"], "fontsize": SMALL, "ha": align, "va": "center"}
    axes.annotate(shown, at, xytext=where, textcoords="offset points", **style)
