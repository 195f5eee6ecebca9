"""What an experiment requires of clients under overload and in part-way failures, judged over the history alone. Pure.

| kind | measured |
|---|---|
| `impaired_s` | seconds from the beginning of `since` to the end of the last bad second before `until` |
| `collapsed_s` | seconds from the beginning of `since` until the first second that was not bad |
| `amplification` | attempts ÷ requests |
| `switch_s` | seconds from the beginning of `since` to when the first request was due, after one was lost, that another
  region answered well; the mean of all seeds, and nothing where one of them lost nothing or did not switch |
| `latency_ms_p99` | p99 of the latency of requests answered well |
| `hedged_share` | calls that the router sent to a second region ÷ requests, those of the warm-up too |

A second is bad when less than `level` of the requests due in it were answered well, and no later than `within_ms` after
they were due where a check says so. Both end with the window at the latest. Of several seeds the longest impairment,
the shortest collapse and the amplification over all count.
Seconds are counted from `since`; one in which fewer than REQUESTS_MIN requests were due judges nothing.

With `than` a value is divided by at least the smallest one that its kind tells: a second for `impaired_s` and
`collapsed_s`, one request's share for `lost_share` and `hedged_share`. So one that lost none of 1,000 counts as 0.001.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING

from cluster.history import Exchange, Run, percentile
from cluster.revocation_checks import P99_SAMPLES_MIN, bounds

if TYPE_CHECKING:
    from cluster.checks import Check, Measure
    from cluster.topology import RttTable

REQUESTS_MIN = 5
RESOLUTION_S = {"impaired_s": 1.0, "collapsed_s": 1.0}
Requests = Callable[["Check", Run], int]


def selected(check: Check, exchange: Exchange) -> bool:
    """Whether the check is about this request's client."""
    wanted = ((check.location, exchange.location), (check.endpoint, exchange.endpoint), (check.region, exchange.region))
    return all(not want or want == have for want, have in wanted) and (
        not check.not_region or check.not_region != exchange.region
    )


def ratio(check: Check, value: float | None, other: float | None, others: Sequence[Run]) -> float | None:
    """What a check measured, divided by the same of another variant, whose runs are `others`; None where one was not
    measured, or is zero to divide by. It is divided by at least the resolution of the check's kind."""
    divisor = max(other, _resolution(check, others)) if other is not None else 0.0
    return value / divisor if value is not None and divisor else None


def _resolution(check: Check, runs: Sequence[Run]) -> float:
    """The least that is not told as 0; 0 for a kind that has no such."""
    if check.kind in SHARES_OF:
        requests = sum(SHARES_OF[check.kind](check, run) for run in runs)
        return 1 / requests if requests else 0.0
    return RESOLUTION_S.get(check.kind, 0.0)


def _judged(check: Check, run: Run) -> int:
    begin, end = bounds(check, run)
    return sum(begin <= e.due_at < end and selected(check, e) for e in run.measured)


SHARES_OF: Mapping[str, Requests] = {"lost_share": _judged, "hedged_share": lambda check, run: len(run.exchanges)}
"""Of how many requests of a run a kind tells a share."""


def _due(check: Check, run: Run) -> list[tuple[float, Exchange]]:
    """The selected requests due from the beginning of `since` until `until`, by seconds since then."""
    event = run.event(check.since)
    begin = 0.0 if check.since == "begin" else math.inf if event is None else event.began_at
    _, end = bounds(check, run)
    return [(e.due_at - begin, e) for e in run.measured if begin <= e.due_at < end and selected(check, e)]


def _goodput(check: Check, run: Run) -> list[tuple[int, float]]:
    """Each whole second that judges, and the share of requests answered well of those due in it."""
    due, ok = Counter[int](), Counter[int]()
    found = _due(check, run)
    for at_s, exchange in found:
        due[int(at_s)] += 1
        ok[int(at_s)] += exchange.outcome == "ok" and exchange.latency_ms <= check.within_ms
    return [(second, ok[second] / count) for second, count in sorted(due.items()) if count >= REQUESTS_MIN]


def _impaired_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [_goodput(check, run) for run in runs]
    known = bool(found) and all(found)
    spans = [max((second + 1.0 for second, share in seconds if share < check.level), default=0.0) for seconds in found]
    yield "", max(spans) if known else None


def _collapsed_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [_goodput(check, run) for run in runs]
    known = bool(found) and all(found)
    yield "", min(_collapse_s(seconds, check.level) for seconds in found) if known else None


def _collapse_s(seconds: Sequence[tuple[int, float]], level: float) -> float:
    recovered = next((second for second, share in seconds if share >= level), None)
    return float(seconds[-1][0] + 1 if recovered is None else recovered)


def _amplification(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [exchange for run in runs for _, exchange in _due(check, run)]
    yield "", sum(exchange.attempts for exchange in found) / len(found) if found else None


def _switch_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [_switch_of(check, run) for run in runs]
    known = [seconds for seconds in found if seconds is not None]
    yield "", mean(known) if known and len(known) == len(found) else None


def switches(check: Check, runs: Iterable[Run]) -> Iterable[tuple[Run, float | None, int, int]]:
    """Of each run: the seconds that `switch_s` takes the mean of, and of the requests of its window how many there were
    and how many were lost."""
    for run in (one for one in runs if one.policy in check.policies and one.variant in check.variants):
        due = [exchange for _, exchange in _due(check, run)]
        yield run, _switch_of(check, run), len(due), sum(exchange.outcome != "ok" for exchange in due)


def _switch_of(check: Check, run: Run) -> float | None:
    """Of one run; requests are taken in the order in which they were due."""
    event = run.event(check.since)
    due = sorted(_due(check, run), key=lambda found: found[0])
    first_lost = next((at_s for at_s, exchange in due if exchange.outcome != "ok"), None)
    if event is None or first_lost is None:
        return None
    elsewhere = ((at_s, e) for at_s, e in due if at_s > first_lost and e.outcome == "ok")
    return next((at_s for at_s, e in elsewhere if e.served_by not in ("", event.region)), None)


def _latency_ms_p99(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [e.latency_ms for run in runs for _, e in _due(check, run) if e.outcome == "ok"]
    yield "", percentile(found, 0.99) if len(found) >= P99_SAMPLES_MIN else None


def hedged_share(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    """Of whole runs: a router does not tell when, or for whom, it asked a second region."""
    hedges = [run.hedges for run in runs]
    known = [count for count in hedges if count is not None]
    requests = sum(len(run.exchanges) for run in runs)
    yield "", sum(known) / requests if requests and len(known) == len(hedges) else None


MEASURES: Mapping[str, tuple[Measure, tuple[str, ...], tuple[str, ...]]] = {
    "impaired_s": (_impaired_s, ("since", "level"), ("within_ms",)),
    "collapsed_s": (_collapsed_s, ("since", "level"), ("within_ms",)),
    "amplification": (_amplification, ("since",), ()),
    "switch_s": (_switch_s, ("since",), ()),
    "latency_ms_p99": (_latency_ms_p99, ("since",), ()),
}
"""How each kind measures, and which members it needs and allows beside the window, the clients and the bounds."""
