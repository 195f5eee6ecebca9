"""What happened by the second, with faults marked, from every series that has a column `second`. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.report import words
from cluster.report.plots import Curves, Line, Mark, Plot, aligned, listing, numbered, unique
from cluster.report.record import Record, Table

UNDOES = ("start", "resume", "heal")
"""Actions that only end something."""
ENDED_BY: Mapping[str, tuple[str, ...]] = {"kill": ("start",), "empty-disk": ("start",), "pause": ("resume",)}
OTHERS_ENDED_BY = ("heal", "start")
MOMENTS = ("upgrade", "later-entry")
"""Actions that are over when they are done."""
TOGETHER_S = 0.5
"""Faults that begin within this time are one to the eye."""
LABEL_MAX = 50
"""Letters of a mark's words: more than an axis is wide cannot be read."""
MARKS_MAX = 6
"""More of them are ticks without words."""
LINES_MAX = 6
Row = Mapping[str, Any]
COURSES = ("course by endpoint", "course")


def _course(record: Record) -> Table:
    """The finer series, or for an old result the coarser one."""
    tables = [record.table(name) for name in COURSES]
    return next((table for table in tables if table.has("policy", "second", "endpoint", "ok", "lost")), tables[0])


def lost(record: Record) -> Plot | None:
    """Share of requests lost by the second; where nothing was disturbed and nothing lost there is nothing to see."""
    rows: list[Row] = list(_course(record))
    if not rows or not (record.table("faults").rows or any(row["lost"] for row in rows)):
        return None

    def share(found: Sequence[Row]) -> float | None:
        due = sum(row["ok"] + row["lost"] for row in found)
        return sum(row["lost"] for row in found) / due if due else None

    caption = "Share of the requests due in each second that got no good answer; shaded while a fault lasted."
    return _plot(record, "lost", "Requests lost by the second", caption, rows, share, "share lost", True)


def answered(record: Record) -> Plot | None:
    """Good answers by the second, where the load changes or several variants are compared. A last second that the load
    does not fill would look as if answers failed to come."""
    load = record.parameters.get("load") or {}
    duration_s = load.get("duration_s")
    filled = math.floor(duration_s) if isinstance(duration_s, int | float) else math.inf
    rows: list[Row] = [row for row in _course(record) if row["second"] < filled]
    variants = [one for one in record.parameters.get("variants") or [] if one.get("name")]
    if not rows or not (variants or load.get("steps")):
        return None
    seeds = {policy: len({row["seed"] for row in rows if row["policy"] == policy}) for policy in _policies(rows)}

    def rate(found: Sequence[Row]) -> float | None:
        return sum(row["ok"] for row in found) / seeds[found[0]["policy"]] if found else None

    caption = "Good answers to the requests that were due in each second, the mean of all seeds."
    return _plot(record, "answered", "Good answers by the second", caption, rows, rate, "answers a second", False)


def latency(record: Record) -> Plot | None:
    """Median latency by the second, where something was disturbed. Regional endpoints only where each place calls its
    own: else the median of near and far says nothing."""
    table = _course(record)
    if not record.table("faults").rows or "p50_ms" not in table.columns:
        return None
    near = (record.parameters.get("load") or {}).get("regional") != "all"
    rows: list[Row] = [row for row in table if near or row["endpoint"] == "global"]

    def median(found: Sequence[Row]) -> float | None:
        known = sorted(row["p50_ms"] for row in found if row["p50_ms"] is not None)
        return known[len(known) // 2] if known else None

    caption = "Median time until a good answer to the requests due in each second, all places together."
    return _plot(record, "latency", "Latency by the second", caption, rows, median, "median ms", False)


def _plot(
    record: Record,
    slug: str,
    title: str,
    caption: str,
    rows: list[Row],
    value: Callable[[Sequence[Row]], float | None],
    y_label: str,
    share: bool,
) -> Plot:
    marks = {policy: faults(record, policy) for policy in _policies(rows)}
    labels = _labels(rows)
    strokes = numbered(unique(labels.values()))
    panels = []
    for policy in _policies(rows):
        here = [row for row in rows if row["policy"] == policy]
        lines = tuple(
            Line(label, tuple(_by_second([row for row in here if labels[_key(row)] == label], value)), strokes[label])
            for label in unique(labels[_key(row)] for row in here)
        )
        alt = listing([f"{title}, {policy}", *(said(line, share) for line in lines), *map(_told, marks[policy])])
        panels.append(Curves(policy, "second", y_label, lines, alt, marks[policy], step=True, share=share))
    return Plot(f"timeline-{slug}", title, caption, aligned(panels))


def _policies(rows: Iterable[Row]) -> list[str]:
    return unique(row["policy"] for row in rows)


def _key(row: Row) -> tuple[str, str]:
    return row["endpoint"], row.get("region") or ""


def _labels(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """The global endpoint, every regional one that lost something, and all others as one."""
    hurt: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        hurt[_key(row)] += row["lost"]
    regional = sorted((key for key in hurt if key[0] != "global"), key=lambda key: -hurt[key])
    alone = [key for key in regional if hurt[key] and key[1]][: LINES_MAX - 3]
    if len(alone) == len(regional) - 1:
        alone = regional
    rest = "other regional" if alone else "regional"
    named = {key: f"regional {key[1]}".strip() if key in alone else rest for key in regional}
    return {key: "global" for key in sorted(hurt) if key[0] == "global"} | named


def _by_second(rows: Iterable[Row], value: Callable[[Sequence[Row]], float | None]) -> Iterator[tuple[float, float]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["second"]].append(row)
    for second, here in sorted(found.items()):
        y = value(here)
        if y is not None:
            yield float(second), y


def said(line: Line, share: bool) -> str:
    if not line.points:
        return f"{line.label}: nothing"
    worst_at, worst = max(line.points, key=lambda point: point[1])
    shown = f"{worst:.0%}" if share else f"{worst:.4g}"
    return f"{line.label}: at most {shown}, at {worst_at:g}" if worst else f"{line.label}: always 0"


def _told(mark: Mark) -> str:
    return f"{mark.label} at {mark.at:.1f} s" + ("" if mark.until is None else f" until {mark.until:.1f} s")


def faults(record: Record, policy: str) -> tuple[Mark, ...]:
    """What was done under a policy, of its first seed; what came at one moment is one mark with the words of all. A
    fault without a name of its own belongs to a named one of its kind."""
    table = record.table("faults")
    if not table.has("policy", "seed", "action", "region", "began_at_s"):
        return ()
    rows = sorted((row for row in table if row["policy"] == policy), key=lambda row: row["began_at_s"])
    rows = [row for row in rows if row["seed"] == rows[0]["seed"]]
    ordered = record.parameters.get("faults") or ()
    moments: list[list[tuple[Row, Mark]]] = []
    for index, row in enumerate(rows):
        if str(row["action"]) in UNDOES or _ends(row, ordered):
            continue
        label = str(row.get("name") or f"{row['action']} {row['region'] or ''}".strip())
        mark = Mark(float(row["began_at_s"]), _end(row, rows[index + 1 :]), label)
        if moments and mark.at - moments[-1][0][1].at < TOGETHER_S:
            moments[-1].append((row, mark))
        else:
            moments.append([(row, mark)])
    found = tuple(map(_together, moments))
    return tuple(replace(mark, label="") for mark in found) if len(found) > MARKS_MAX else found


def _together(moment: Sequence[tuple[Row, Mark]]) -> Mark:
    """What came at one moment as one mark, which lasts until the last of them is undone."""
    named = {row["action"] for row, _ in moment if row.get("name")}
    labels = unique(mark.label for row, mark in moment if row.get("name") or row["action"] not in named)
    until = max((mark.until for _, mark in moment if mark.until is not None), default=None)
    return Mark(moment[0][1].at, until, _joined(labels))


def _joined(labels: Sequence[str]) -> str:
    """The labels, as many as can be read beside each other, and how many more there are."""
    for shown in range(len(labels), 0, -1):
        rest = len(labels) - shown
        said = ", ".join([*labels[:shown], *([words.count(rest, "other")] if rest else [])])
        if len(said) <= LABEL_MAX:
            break
    return said


def _ends(row: Row, ordered: Iterable[Row]) -> bool:
    """Whether a fault was ordered with an amount of nothing, which ends the one before it."""
    near = [
        fault
        for fault in ordered
        if fault.get("action") == row["action"] and abs(fault.get("at_s", 0) - row["began_at_s"]) < TOGETHER_S
    ]
    return any(words.ends(fault) for fault in near)


def _end(row: Row, later: Iterable[Row]) -> float | None:
    """When it was undone or replaced."""
    if row["action"] not in words.ACTIONS or row["action"] in MOMENTS:
        return None
    enders = ENDED_BY.get(str(row["action"]), (*OTHERS_ENDED_BY, row["action"]))
    for other in later:
        everywhere = other["action"] == "heal" and not other["region"]
        if other["action"] in enders and (everywhere or other["region"] == row["region"]):
            return float(other["began_at_s"])
    return None
