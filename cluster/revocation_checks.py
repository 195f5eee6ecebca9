"""What an experiment requires of revocations, judged over the history alone. Pure.

| kind | measured |
|---|---|
| `convergence_ms_p99` | p99 of the time from when a revocation was sent until another region refused the session |
| `convergence_s` | the longest of these times, of what had all the time that is allowed before `until` |
| `caught_up_s` | seconds from `since` (a heal; the slowest of that name) until every region refused all that was
  acknowledged before it |
| `accepted_after_ack` | sessions accepted in the region that had acknowledged their revocation, of those it told of |
| `lost_acked` | acknowledged revocations that some region does not hold in the end, or does not tell |
| `differing_heads` | origins of which not all regions know the same in the end |
| `phantoms` | sessions refused in the end that nobody revoked |
| `unacked` | revocations without a good answer |

`origin` and `observer` select regions, `since` and `until` revocations by when they were sent; what was acknowledged
and is never refused elsewhere has no time, and then the check does not hold. A p99 needs 1,000 times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from cluster.history import Revocation, Run, finite, percentile

if TYPE_CHECKING:
    from cluster.checks import Check, Measure
    from cluster.topology import RttTable

P99_SAMPLES_MIN = 1000


def bounds(check: Check, run: Run) -> tuple[float, float]:
    """The check's window in a run: from when its first fault was done until its last one began; empty without them."""
    begin, end = 0.0, math.inf
    if check.since != "begin":
        event = run.event(check.since)
        begin = math.inf if event is None else event.done_at
    if check.until != "end":
        event = run.event(check.until)
        end = -math.inf if event is None else event.began_at
    return begin, end


def _selected(check: Check, run: Run, *, allowed_s: float = 0.0) -> list[Revocation]:
    """Those sent in the window, and `allowed_s` before its end."""
    begin, end = bounds(check, run)
    end -= allowed_s
    return [
        one
        for one in run.revocations
        if one.sent_at is not None and begin <= one.sent_at < end and check.origin in ("", one.origin)
    ]


def _times_s(check: Check, runs: Sequence[Run], *, allowed_s: float = 0.0) -> list[float]:
    """Seconds per acknowledged revocation and other region, infinite where it was never refused."""
    return [
        one.refused_at.get(region, math.inf) - one.sent_at
        for run in runs
        for one in _selected(check, run, allowed_s=allowed_s)
        if one.acked_at is not None and one.sent_at is not None
        for region in one.refused_in_the_end
        if region != one.origin and check.observer in ("", region)
    ]


def _came_to_its_end(run: Run) -> bool:
    """Whether every region was asked about every revocation in the end; of a run that was stopped nobody knows."""
    asked = {frozenset(one.refused_in_the_end) for one in run.revocations}
    return not asked or (len(asked) == 1 and frozenset() not in asked)


def _convergence_ms_p99(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    times = _times_s(check, runs)
    yield "", finite(percentile(times, 0.99) * 1000) if len(times) >= P99_SAMPLES_MIN else None


def _convergence_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    # What ends the window may cut the way that a revocation was still to take, such as the second cut of E8 the detour:
    # one sent just before it would measure how long that cut lasts. One that was late already is counted.
    yield "", finite(max(_times_s(check, runs, allowed_s=check.at_most or 0.0), default=None))


def _caught_up_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    found = [_caught_up_of(check, run) for run in runs]
    known = [seconds for seconds in found if seconds is not None]
    yield "", finite(max(known)) if known and len(known) == len(found) else None


def _caught_up_of(check: Check, run: Run) -> float | None:
    """After the slowest of the heals."""
    found = [_behind_s(run, event.began_at) for event in run.all_called(check.since)]
    known = [seconds for seconds in found if seconds is not None]
    return max(known) if known and len(known) == len(found) else None


def _behind_s(run: Run, healed_at: float) -> float | None:
    """How long after a heal the last region refused what had been acknowledged before; None where nothing was."""
    times = [
        one.refused_at.get(region, math.inf)
        for one in run.revocations
        if one.acked_at is not None and one.acked_at < healed_at
        for region in one.refused_in_the_end
        if region != one.origin
    ]
    return max(0.0, max(times) - healed_at) if times else None


def _accepted_after_ack(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    acked = [one for run in runs for one in _selected(check, run) if one.acked_at is not None]
    told = [one.accepted_after_ack for one in acked if one.accepted_after_ack is not None]
    yield "", float(sum(told)) if told else None


def _lost_acked(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    acked = [one for run in runs for one in _selected(check, run) if one.acked_at is not None]
    lost = [one for one in acked if not all(one.refused_in_the_end.values())]
    yield "", float(len(lost)) if acked and all(map(_came_to_its_end, runs)) else None


def _phantoms(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    told = [{*one.refused_in_the_end.values()} - {None} for run in runs for one in run.untouched]
    judged = [refused for refused in told if refused]
    yield "", float(sum(True in refused for refused in judged)) if judged else None


def _differing_heads(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    differing = 0
    for run in runs:
        heads = [counts.heads for counts in run.nodes.values()]
        origins = {origin for one in heads for origin in one}
        regions = {region for one in run.revocations for region in one.refused_in_the_end}
        if not origins or len(heads) < len(regions) or not _came_to_its_end(run):
            yield "", None
            return
        differing += sum(len({one.get(origin) for one in heads}) > 1 for origin in origins)
    yield "", float(differing) if runs else None


def _unacked(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    sent = [one for run in runs for one in _selected(check, run)]
    yield "", float(sum(one.acked_at is None for one in sent)) if sent else None


MEASURES: Mapping[str, tuple[Measure, tuple[str, ...], tuple[str, ...]]] = {
    "convergence_ms_p99": (_convergence_ms_p99, (), ("since", "until", "origin", "observer")),
    "convergence_s": (_convergence_s, (), ("since", "until", "origin", "observer")),
    "caught_up_s": (_caught_up_s, ("since",), ()),
    "accepted_after_ack": (_accepted_after_ack, (), ("since", "until", "origin")),
    "lost_acked": (_lost_acked, (), ("since", "until", "origin")),
    "differing_heads": (_differing_heads, (), ()),
    "phantoms": (_phantoms, (), ()),
    "unacked": (_unacked, (), ("since", "until", "origin")),
}
"""How each kind measures, and which members it needs and allows beside the bounds."""
