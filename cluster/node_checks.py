"""What an experiment requires of what was looked at beside the load, judged over the history alone. Pure.

| kind | measured |
|---|---|
| `health_changes` | how often the router changed its mind about `region`, or about any |
| `staleness_s` | the highest staleness that `observer` told of `origin` |
| `reused_origins` | regions that went on with a log whose disk they had lost |
| `received_ratio` | bytes that a region got from others while it started ÷ all that another one's journal holds |
| `alarms` | regions of `observer`, or all but `origin`, that told of a revocation of a later version in the window |
| `alarmless` | those of them whose metrics have no such alarm: nodes of a version that was built without it |

`since` and `until` bound the window. A check does not hold when there was a run in which nothing was seen. Of
several runs the highest staleness counts, or the lowest where it is to be at least something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from cluster.history import Look, Run
from cluster.revocation_checks import bounds

if TYPE_CHECKING:
    from cluster.checks import Check, Measure
    from cluster.topology import RttTable


def _window(check: Check, run: Run) -> list[Look]:
    begin, end = bounds(check, run)
    return [sample for sample in run.samples if begin <= sample.at < end]


def _health_changes(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [_changes_of(check, run) for run in runs]
    known = [changes for changes in found if changes is not None]
    yield "", float(sum(known)) if known and len(known) == len(found) else None


def _changes_of(check: Check, run: Run) -> int | None:
    changes, views = 0, dict[str, bool]()
    for sample in _window(check, run):
        if sample.healthy is not None and check.region in ("", sample.region):
            changes += views.get(sample.region, sample.healthy) != sample.healthy
            views[sample.region] = sample.healthy
    return changes if views else None


def _ages(check: Check, run: Run) -> list[float]:
    return [
        sample.staleness_s[check.origin]
        for sample in _window(check, run)
        if sample.region == check.observer and check.origin in sample.staleness_s
    ]


def _staleness_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [max(ages) for run in runs if (ages := _ages(check, run))]
    farthest = min if check.at_most is None else max
    yield "", farthest(found) if found and len(found) == len(runs) else None


def _reused_origins(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    losses = [(run, event) for run in runs for event in run.events if event.action == "empty-disk"]
    reused, judged = 0, 0
    for run, event in losses:
        origins = [s for s in run.samples if s.region == event.region and s.origin]
        before = {s.origin for s in origins if s.at < event.began_at}
        after = {s.origin for s in origins if s.at > event.done_at}
        judged += bool(before and after)
        reused += len(before & after)
    yield "", float(reused) if losses and judged == len(losses) else None


def _received_ratio(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [ratio for run in runs if (ratio := _received_of(check, run)) is not None]
    yield "", max(found) if found and len(found) == len(runs) else None


def _received_of(check: Check, run: Run) -> float | None:
    """Bytes of one run's first restart."""
    start = run.event("start")
    if start is None:
        return None
    received = {s.at: s.received for s in run.samples if s.region == start.region and s.received is not None}
    before = [count for at, count in received.items() if at <= start.began_at]
    after = [count for at, count in received.items() if at >= start.done_at]
    most = max([size for region, size in run.journal_bytes.items() if region != start.region], default=0)
    return (after[0] - before[-1]) / most if before and after and most else None


def _alarms(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    asked = [[s for s in _window(check, run) if _is_asked(check, s)] for run in runs]
    known = bool(asked) and all(any(sample.origin for sample in samples) for samples in asked)
    told = [len({sample.region for sample in samples if sample.unknown}) for samples in asked]
    yield "", sum(told) / len(told) if known else None


def _alarmless(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = []
    for run in runs:
        asked = [sample for sample in _window(check, run) if _is_asked(check, sample) and sample.origin]
        having = {sample.region for sample in asked if sample.unknown is not None}
        found.append(len({sample.region for sample in asked} - having) if asked else None)
    known = [count for count in found if count is not None]
    yield "", sum(known) / len(known) if known and len(known) == len(found) else None


def _is_asked(check: Check, sample: Look) -> bool:
    return check.observer in ("", sample.region) and check.origin != sample.region


_WINDOW = ("since", "until")
MEASURES: Mapping[str, tuple[Measure, tuple[str, ...], tuple[str, ...]]] = {
    "health_changes": (_health_changes, (), ("region", *_WINDOW)),
    "staleness_s": (_staleness_s, ("observer", "origin"), _WINDOW),
    "reused_origins": (_reused_origins, (), ()),
    "received_ratio": (_received_ratio, (), ()),
    "alarms": (_alarms, (), ("observer", "origin", *_WINDOW)),
    "alarmless": (_alarmless, (), ("observer", "origin", *_WINDOW)),
}
"""How each kind measures, and which members it needs and allows beside the bounds."""
