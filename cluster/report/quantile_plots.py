"""Cumulative distributions, from every series with columns such as `p50_ms`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cluster.report.plots import Curves, Line, Plot, aligned, listing, numbered, pairs, policies, slug, unique
from cluster.report.record import SHARE, SHARES_MIN, Record, Table
from cluster.report.words import cell

LATENCY, CONVERGENCE = "latency distribution", "convergence distribution"
Row = Mapping[str, Any]


def latency(record: Record) -> Plot | None:
    """Per location: the global endpoint under each policy, and the fastest regional one."""
    table = record.table(LATENCY)
    if not table.has("policy", "location", "endpoint", "region", "p50_ms"):
        return None
    rows: list[Row] = list(table)
    grouped = {place: _nearest(rows, place) for place in unique(row["location"] for row in rows)}
    strokes = numbered(unique(label for curves in grouped.values() for label in curves))
    panels = [
        _panel(f"from {place}", "ms until the answer", table, curves, strokes) for place, curves in grouped.items()
    ]
    caption = (
        "Share of requests that were answered well within a time, for clients of each place. The regional endpoint is "
        "the fastest one of the place, as it was under the middle one of all policies. A curve ends where fewer than "
        "ten slower requests were seen."
    )
    return Plot("latency-cdf", "Latency by place and endpoint", caption, aligned(panels))


def _nearest(rows: list[Row], place: str) -> dict[str, Row]:
    """The distribution of each line of a place. Of an endpoint that several policies asked it is the middle one, by its
    median; of several regional endpoints that of the fastest."""
    grouped: defaultdict[str, defaultdict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    several = len({row["policy"] for row in rows}) > 1
    for row in rows:
        if row["location"] == place and row["p50_ms"] is not None:
            global_ = several and row["endpoint"] == "global"
            label = f"global, {row['policy']}" if global_ else str(row["endpoint"])
            grouped[label][str(row["region"])].append(row)
    return {
        label: min((_middle(found) for found in regions.values()), key=_median)
        for label, regions in sorted(grouped.items())
    }


def _middle(rows: Iterable[Row]) -> Row:
    ordered = sorted(rows, key=_median)
    return ordered[len(ordered) // 2]


def _median(row: Row) -> float:
    return float(row["p50_ms"])


def convergence(record: Record) -> Plot | None:
    """Per policy: how long until another region refuses, by the state of the network."""
    table = record.table(CONVERGENCE)
    if not table.has("policy", "condition", "p50_ms"):
        return None
    rows = list(table)
    strokes = numbered(unique(row["condition"] for row in rows))
    panels = []
    for policy in policies(record, [row["policy"] for row in rows]):
        curves = {row["condition"]: row for row in rows if row["policy"] == policy}
        panels.append(_panel(policy, "ms until another region refuses", table, curves, strokes))
    caption = (
        "Share of revocations that another region enforced within a time: on a healthy network from when it was sent, "
        "after a heal from the heal, for what had waited for it. Asked every 20 ms: finer steps are chance."
    )
    return Plot("convergence-cdf", "Convergence of revocations", caption, aligned(panels))


def others(record: Record) -> Iterator[Plot]:
    """Any other series of distributions: a panel per first column that is text, a line per what the others say."""
    for table in record.tables:
        if table.name not in (LATENCY, CONVERGENCE) and len(_shares(table)) >= SHARES_MIN and table.rows:
            groups = [name for name, value in zip(table.columns, table.rows[0], strict=True) if isinstance(value, str)]
            rows = list(table)
            first, rest = groups[:1], groups[1:]
            label = {id(row): ", ".join(str(row[name]) for name in rest if row[name]) or table.name for row in rows}
            strokes = numbered(unique(label.values()))
            panels = []
            for value in unique(str(row[first[0]]) if first else table.name for row in rows):
                curves = {label[id(row)]: row for row in rows if not first or str(row[first[0]]) == value}
                panels.append(_panel(value, "ms", table, curves, strokes))
            yield Plot(f"{slug(table.name)}-cdf", table.name.capitalize(), "", aligned(panels))


def points(record: Record) -> Iterator[Plot]:
    """Series that are a curve already: a column of times and one of shares, and what tells curves apart."""
    for table in record.tables:
        if not table.has("ms", "share"):
            continue
        by = [name for name in table.columns if name not in ("ms", "share")]
        found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for row in table:
            if row["ms"] is not None and row["share"] is not None and row["ms"] > 0:
                found[", ".join(str(row[name]) for name in by)].append((float(row["ms"]), float(row["share"])))
        lines = tuple(Line(label, tuple(sorted(curve)), index) for index, (label, curve) in enumerate(found.items()))
        said = (f"{line.label} {_at_half(line)}".strip() for line in lines)
        panel = Curves("", "ms", "share of all", lines, listing([table.name, *said]), log=True, share=True)
        name = table.name.removesuffix(" cdf")
        yield Plot(f"{slug(name)}-points", f"{name.capitalize()}, distribution", "", aligned([panel]))


def _at_half(line: Line) -> str:
    at = next((x for x, share in line.points if share >= 0.5), None)
    return "never reaches half" if at is None else f"half within {at:g} ms"


def _shares(table: Table) -> dict[str, float]:
    found = {column: SHARE.fullmatch(column) for column in table.columns}
    return {column: float(match[1]) / 100 for column, match in found.items() if match}


def _panel(title: str, x_label: str, table: Table, curves: Mapping[str, Row], strokes: Mapping[str, int]) -> Curves:
    shares = _shares(table)
    lines, said = [], [f"Distribution of {x_label}, {title}"]
    for label, row in curves.items():
        points = tuple(pairs((row[column] for column in shares), shares.values()))
        points = tuple((x, y) for x, y in points if x > 0)
        if len(points) >= 2:
            note = "" if row["p50_ms"] is None else f"{cell(_rounded(row['p50_ms']))} ms"
            lines.append(Line(label, points, strokes[label], note))
        if row["p50_ms"] is not None:
            tail = "" if row.get("p99_ms") is None else f", p99 {cell(_rounded(row['p99_ms']))} ms"
            said.append(f"{label}: median {cell(_rounded(row['p50_ms']))} ms{tail}")
    return Curves(title, x_label, "share of all", tuple(lines), listing(said), log=True, share=True)


def _rounded(ms: float) -> float:
    return round(ms) if ms >= 10 else round(ms, 1)
