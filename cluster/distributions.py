"""What plots need beside the summaries of `result`: distributions as honest quantiles, the course by endpoint. Pure.

A distribution is one row per group: how many samples, and the value in ms below which each share lies (`p5_ms` is 5 %).
A quantile with fewer than 10 samples beyond it is null: a tail that was not seen is not drawn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cluster.cuts import heals
from cluster.history import Exchange, Revocation, Run, percentile

SHARES = (0.005, 0.01, 0.02, *(percent / 100 for percent in range(5, 100, 5)), 0.975, 0.99, 0.995, 0.999, 0.9999)
SAMPLES_BEYOND_MIN = 10
DISTRIBUTION = " ".join(f"p{share * 100:g}_ms" for share in SHARES)
"""The columns of a distribution."""
Row = list[Any]


def quantiles(values: Sequence[float]) -> Row:
    """One cell for each of SHARES."""
    ordered = sorted(values)
    return [quantile(ordered, share) for share in SHARES]


def quantile(values: Sequence[float], share: float) -> float | None:
    """One of them, None where too few samples were seen. The median is given for the smallest samples, too; whoever
    reads it sees how many there were."""
    known = len(values) > 0 and (share == 0.5 or len(values) * min(share, 1 - share) >= SAMPLES_BEYOND_MIN)
    return percentile(values, share) if known else None


def latency(runs: Iterable[Run]) -> Iterator[Row]:
    """`policy location endpoint region requests` and the distribution of good answers."""
    found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for run in runs:
        for e in run.measured:
            if e.outcome == "ok":
                found[run.label, e.location, e.endpoint, e.region].append(e.latency_ms)
    for group, values in sorted(found.items()):
        yield [*group, len(values), *quantiles(values)]


def impact_s(runs: Iterable[Run]) -> Mapping[tuple[str, ...], int]:
    """Per policy, location, endpoint and region: the number of seconds in which requests were lost, of the worst
    run."""
    found: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for run in runs:
        seconds: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        for e in run.measured:
            if e.outcome != "ok":
                seconds[run.label, e.location, e.endpoint, e.region].add(math.floor(e.due_at))
        for group, lost in seconds.items():
            found[group] = max(found[group], len(lost))
    return found


@dataclass(slots=True)
class _Second:
    """What came of the requests that were due in one second."""

    ok_ms: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, e: Exchange) -> None:
        if e.outcome == "ok":
            self.ok_ms.append(e.latency_ms)
        else:
            self.lost += 1


def course(runs: Iterable[Run]) -> Iterator[Row]:
    """`policy seed second endpoint region ok lost p50_ms`, all locations together."""
    for run in runs:
        found: defaultdict[tuple[int, str, str], _Second] = defaultdict(_Second)
        for e in run.measured:
            found[math.floor(e.due_at), e.endpoint, e.region].add(e)
        for key, second in sorted(found.items()):
            median = percentile(second.ok_ms, 0.5) if second.ok_ms else None
            yield [run.label, run.seed, *key, len(second.ok_ms), second.lost, median]


def convergence(runs: Iterable[Run]) -> Iterator[Row]:
    """`policy condition revocations` and the distribution of the times in `convergence_times`."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        for condition, ms in convergence_times(run):
            found[run.label, condition].append(ms)
    for group, times in sorted(found.items(), reverse=True):
        yield [*group, len(times), *quantiles(times)]


def convergence_times(run: Run) -> Iterator[tuple[str, float]]:
    """`healthy`: ms from when a revocation was sent, before the first fault, until another region refused. `after
    heal`: from a heal until a region refused what had been acknowledged before the heal and could not reach it, as the
    way there from the origin was cut until then."""
    first = min((event.began_at for event in run.events), default=math.inf)
    heals_of = cache(lambda origin, region: [*heals(run.events, origin, region)])
    for one in run.revocations:
        for region, refused_at in one.refused_at.items():
            yield from _time(one, refused_at, first, heals_of(one.origin, region))


def _time(one: Revocation, refused_at: float, first: float, healed: Iterable[float]) -> Iterator[tuple[str, float]]:
    if one.sent_at is None or one.acked_at is None:
        return
    heal = next((at for at in healed if one.acked_at < at <= refused_at), None)
    if heal is not None:
        yield "after heal", (refused_at - heal) * 1000
    elif refused_at < first:
        yield "healthy", (refused_at - one.sent_at) * 1000
