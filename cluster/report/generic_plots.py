"""Lines of any series that goes over time or load, whoever made it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.report.course_plots import COURSES, LINES_MAX, Row, faults, said
from cluster.report.plots import Curves, Line, Plot, aligned, listing, numbered, slug, unique
from cluster.report.record import Record
from cluster.report.words import count, heading

ALONG: Mapping[str, str] = {"second": "second", "at_s": "second", "load": "load"}
"""Columns that are an x axis, and what that is called."""


def others(record: Record) -> Iterator[Plot]:
    """Any other series over time or load: panels for each numeric column, per policy where it goes by the second, else
    with a line for each."""
    for table in record.tables:
        along = next((name for name in ALONG if table.has(name)), None)
        if table.name in COURSES or along is None:
            continue
        rows: list[Row] = list(table)
        texts = [name for name in table.columns if any(isinstance(row[name], str) for row in rows)]
        numbers = [name for name in table.columns if name not in (*texts, along, "seed")]
        apart = "policy" if along == "second" and "policy" in texts else ""
        lines_by = [name for name in texts if name != apart]
        labels = {id(row): ", ".join(str(row[one]) for one in lines_by if row[one]) for row in rows}
        strokes = numbered(unique(label for name in numbers for label in _highest(rows, labels, name)))
        panels: list[Curves] = []
        for name in numbers:
            grouped = {
                value: [row for row in rows if str(row.get(apart, "")) == value]
                for value in unique(str(row.get(apart, "")) for row in rows)
            }
            panels += aligned(
                _other(record, here, value, (along, name), labels, strokes) for value, here in grouped.items()
            )
        many = len(set(labels.values())) > LINES_MAX
        caption = [f"{_mean(rows).capitalize()}."] if _mean(rows) else []
        caption += (
            [f"At most {LINES_MAX} lines, those that rise highest; all numbers are in the series."] if many else []
        )
        title = f"{table.name.capitalize()} by {ALONG[along]}"
        yield Plot(f"timeline-{slug(table.name)}", title, " ".join(caption), tuple(panels))


def _mean(rows: Iterable[Row]) -> str:
    """Of what a line is the mean, in words; nothing of one seed."""
    seeds = len({row["seed"] for row in rows if "seed" in row})
    return f"each line is the mean of {count(seeds, 'seed')}" if seeds > 1 else ""


def _highest(rows: Iterable[Row], labels: Mapping[int, str], name: str) -> list[str]:
    """The labels of the lines that rise highest, in their order; a line that is always 0 is none where others rise."""
    highest: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        if isinstance(row[name], int | float):
            highest[labels[id(row)]] = max(highest[labels[id(row)]], row[name])
    chosen = sorted(highest, key=lambda label: -highest[label])[:LINES_MAX]
    rising = [label for label in chosen if highest[label] > 0]
    return sorted(rising or chosen)


def _other(
    record: Record,
    rows: Sequence[Row],
    value: str,
    axes: tuple[str, str],
    labels: Mapping[int, str],
    strokes: Mapping[str, int],
) -> Curves:
    along, name = axes
    grouped: defaultdict[str, defaultdict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if labels[id(row)] in strokes and isinstance(row[name], int | float) and row[along] is not None:
            grouped[labels[id(row)]][float(row[along])].append(row[name])
    lines = tuple(
        Line(
            label or heading(name), tuple((at, sum(ys) / len(ys)) for at, ys in sorted(points.items())), strokes[label]
        )
        for label, points in sorted(grouped.items())
        if len(points) > 1
    )
    title = f"{heading(name)}, {value}" if value else heading(name)
    alt = listing([*filter(None, (title, _mean(rows))), *(said(line, False) for line in lines)])
    marks = faults(record, value) if along == "second" else ()
    return Curves(title, ALONG[along], heading(name), lines, alt, marks, step=along == "second")
