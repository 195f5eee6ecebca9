"""Medians of places side by side, and how far a fault reached: the blast radius. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from cluster.report.plots import Cells, Dots, Line, Plot, listing, numbered, policies, short, unique
from cluster.report.record import Record
from cluster.report.words import cell

Row = Mapping[str, Any]
GROUP = ("policy", "location", "endpoint", "region", "requests", "lost")


def medians(record: Record) -> Plot | None:
    """Per place: the median at its fastest regional endpoint, of all policies the middle one, and at the global one
    under each policy. Only where endpoints are compared without a fault."""
    table = record.table("latency")
    if not table.has(*GROUP, "p50_ms") or record.table("faults").rows:
        return None
    rows = [row for row in table if row["p50_ms"]]
    places = sorted(unique(row["location"] for row in rows), key=lambda place: _fastest(rows, place))
    kinds = {"regional": [(_fastest(rows, place), float(at)) for at, place in enumerate(places)]}
    for policy in policies(record, [row["policy"] for row in rows]):
        kinds[f"global, {policy}"] = [
            (row["p50_ms"], float(places.index(row["location"])))
            for row in rows
            if (row["policy"], row["endpoint"]) == (policy, "global")
        ]
    strokes = numbered(list(kinds))
    lines = tuple(Line(label, tuple(points), strokes[label]) for label, points in kinds.items() if points)
    said = [f"{places[int(at)]}: {line.label} {cell(round(ms, 1))} ms" for line in lines for ms, at in line.points]
    alt = listing(["Median latency of each place", *said])
    caption = (
        "Median time until the answer: what clients of a place pay for the global endpoint instead of a near one. At "
        "that one it is the middle of the medians under each policy."
    )
    dots = Dots("", "median ms until the answer", tuple(map(short, places)), lines, alt)
    return Plot("latency-medians", "What each place waits for", caption, (dots,))


def _fastest(rows: Iterable[Row], place: str) -> float:
    """The lowest of a place's regional medians, each the middle one of all policies: no policy touches it, and the
    luckiest of several is nobody's."""
    here = [row for row in rows if row["location"] == place]
    regional: defaultdict[str, list[float]] = defaultdict(list)
    for row in here:
        if row["endpoint"] == "regional":
            regional[str(row["region"])].append(float(row["p50_ms"]))
    return min(map(median, regional.values()), default=min(float(row["p50_ms"]) for row in here))


def blast(record: Record) -> Plot | None:
    """Per policy: the share lost of each place's clients at each endpoint; only where something was lost."""
    table = record.table("latency")
    if not table.has(*GROUP) or not any(row["lost"] for row in table):
        return None
    rows = list(table)
    places = unique(row["location"] for row in rows)
    endpoints = sorted(unique(_endpoint(row) for row in rows), key=lambda name: (name != "global", name))
    panels = []
    for policy in policies(record, [row["policy"] for row in rows]):
        found = {(row["location"], _endpoint(row)): row for row in rows if row["policy"] == policy}
        shares = tuple(tuple(_share(found.get((place, one))) for one in endpoints) for place in places)
        said = [f"{place} at {one}: {row['lost']:,} of {row['requests']:,} lost" for (place, one), row in found.items()]
        alt = listing([f"Requests lost under {policy}", *said])
        panels.append(Cells(policy, tuple(map(short, endpoints)), tuple(map(short, places)), shares, alt))
    caption = (
        "Share of all requests of the run that were lost, by where clients are (rows) and which endpoint they call."
    )
    return Plot("blast-radius", "Blast radius", caption, tuple(panels))


def _endpoint(row: Row) -> str:
    return str(row["region"] or row["endpoint"])


def _share(row: Row | None) -> float | None:
    return row["lost"] / row["requests"] if row and row["requests"] else None
