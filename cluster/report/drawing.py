"""Draws panels with matplotlib: into SVG for a page, and a whole plot into SVG or PNG for a paper or a slide.

In a page a panel is text in the page's own type and colours (`palette.variables`); in a file letters are outlines and
colours those of the light scheme, so that it looks the same everywhere. The same input gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cluster.report import draw_curves, draw_grids, palette
from cluster.report.measures import (
    LETTER,
    LINE,
    MARKERS,
    SMALL,
    SWATCH,
    TITLE,
    TYPE,
    WIDTH,
    Colors,
    mark_rows,
    size,
    slanted,
)
from cluster.report.plots import Cells, Curves, Dots, Panel, Plot

DPI = 72
PNG_DPI = 200
COLUMNS_MAX = 3
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
        _draw(figure.add_subplot(), panel, palette.MARKS)
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


def _whole(plot: Plot, colors: Colors) -> Figure:
    columns = min(COLUMNS_MAX, len(plot.panels))
    rows = -(-len(plot.panels) // columns)
    width, height = WIDTH * columns, max(size(panel)[1] for panel in plot.panels)
    figure = Figure(
        figsize=(width / DPI, (height * rows + TITLE + 16 * len(plot.key)) / DPI), dpi=DPI, layout="constrained"
    )
    figure.suptitle(plot.title, color=colors["ink"], fontsize=TYPE + 3, x=0.02, ha="left", weight="bold")
    if plot.key:
        handles = [_handle(plot.panels[0], stroke, colors) for _, stroke in plot.key]
        labels = [label for label, _ in plot.key]
        across = max(1, width // round(max(map(len, labels)) * LETTER + SWATCH))
        style: dict[str, Any] = {"frameon": False, "labelcolor": colors["ink"], "fontsize": SMALL}
        figure.legend(handles, labels, loc="outside lower left", ncols=across, **style)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, one in enumerate(axes.flat):
        if index < len(plot.panels):
            _draw(one, plot.panels[index], colors)
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
    return 8 + LINE * mark_rows(panel) if isinstance(panel, Curves) else 8


def _place(figure: Figure, panel: Panel, width: int, height: int) -> None:
    """Margins in pixels, so that panels of one plot have their axes at the same places."""
    left, bottom, top, right = 52, 40, 12, 12
    if isinstance(panel, Cells | Dots):
        left = 14 + round(LETTER * max(map(len, panel.rows)))
    if isinstance(panel, Cells):
        bottom, top, right = 10, *slanted(panel)
    if isinstance(panel, Curves):
        top += LINE * mark_rows(panel)
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


def _draw(axes: Axes, panel: Panel, colors: Colors) -> None:
    for spine in axes.spines.values():
        spine.set_color(colors["rule"])
    axes.tick_params(colors=colors["muted"], labelsize=SMALL, labelcolor=colors["muted"])
    axes.set_facecolor("none")
    if isinstance(panel, Curves):
        draw_curves.draw(axes, panel, colors)
    elif isinstance(panel, Cells):
        draw_grids.cells(axes, panel, colors)
    else:
        draw_grids.dots(axes, panel, colors)
