"""What an experiment requires, judged over the history of its runs alone; nothing here measures anything.

| kind | measured | per |
|---|---|---|
| `latency_ratio` | median latency at the global endpoint ÷ at the location's nearest regional endpoint | location |
| `mean_latency_ratio` | the mean of these ratios over all locations | check |
| `measured_to_table` | median latency ÷ the table's round trip, for pairs of at least `pair_ms` | pair |
| `lost` | number of requests without a good answer that were due from `since` until `until` | check |
| `lost_share` | the same as a share of all requests due then | check |
| `p99_ratio` | p99 of the latency of requests due from `since` until `until` ÷ that of those before | check |
| `remote_calls` | calls to other regions that nodes made inside requests | check |
| `restart_s` | seconds from the order to start a region until it was ready, the longest | check |
| `recovery_s` | seconds from the beginning of `since` to when the last lost request was due, up to `until` | check |

Kinds for revocations are in `revocation_checks`, for cut-offs and wrong clocks in `cutoff_checks`, for overload in
`load_checks`, for nodes in `node_checks`, for many verifiers in `crowd.checks`. With `than` a value is divided by that
of another variant. A p99 needs 1,000 samples (multiregion 0.1).

`location`, `endpoint`, `region` and `not_region` select clients. A window that begins at a fault begins when the fault
was done, and one that ends at a fault ends when its execution began, so that requests in between judge nothing.
A check without a single request to judge does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean, median
from typing import Any

from cluster import cutoff_checks, load_checks, node_checks, revocation_checks
from cluster.crowd import checks as crowd_checks
from cluster.history import Exchange, Run, labelled, percentile
from cluster.node_metrics import NodeCounts
from cluster.topology import RttTable


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement of an experiment file. Empty text selects every client; None requires nothing on that side."""

    kind: str
    name: str
    policies: tuple[str, ...]
    variants: tuple[str, ...] = ("",)
    than: str = ""
    """The variant whose measured value divides that of each of `variants`; empty to judge the value itself."""
    quick: bool = True
    backbone: str = ""
    """What has to carry the replication for the check to count; empty for any."""
    location: str = ""
    endpoint: str = ""
    region: str = ""
    not_region: str = ""
    origin: str = ""
    observer: str = ""
    since: str = "begin"
    until: str = "end"
    pair_ms: float = 0.0
    level: float = 0.0
    within_ms: float = math.inf
    operations: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Check:
        """The check of validated members of a file."""
        lists = {
            member: tuple(members[member]) for member in ("policies", "variants", "operations") if member in members
        }
        return cls(**{**members, **lists})

    def of_variants(self, variants: Sequence[str]) -> Check:
        """The check of these variants alone."""
        return replace(self, variants=tuple(variant for variant in self.variants if variant in variants))

    @property
    def required(self) -> str:
        """The requirement in words."""
        if self.at_least is not None and self.at_least == self.at_most:
            return f"exactly {self.at_least:g}"
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}" if self.at_least is None else f"{self.at_least:g} to {self.at_most:g}"

    def holds(self, measured: float | None) -> bool:
        """Whether a measured value meets the requirement; nothing measured never does."""
        if measured is None:
            return False
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= measured <= high


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check judged. `measured` is None where there was nothing to measure, or no recovery."""

    name: str
    holds: bool
    measured: float | None
    required: str


Measure = Callable[[Check, Sequence[Run], RttTable], Iterable[tuple[str, float | None]]]


def judge(checks: Iterable[Check], runs: Sequence[Run], table: RttTable) -> list[Verdict]:
    """Every check over the runs of its policies and variants; one verdict per location or pair where the kind has
    several."""
    verdicts = []
    for check in checks:
        for policy, variant in product(check.policies, check.variants):
            for subject, value in _measured(check, policy, variant, runs, table):
                name = f"{labelled(policy, variant)}: {check.name}" + (f" ({subject})" if subject else "")
                verdicts.append(Verdict(name, check.holds(value), _told(check, value), check.required))
    return verdicts


def _told(check: Check, value: float | None) -> float | None:
    """With four decimals, or as it is where these would say otherwise than it whether the check holds."""
    if value is None:
        return None
    rounded = round(value, 4)
    return rounded if check.holds(rounded) == check.holds(value) else value


def _measured(
    check: Check, policy: str, variant: str, runs: Sequence[Run], table: RttTable
) -> Iterable[tuple[str, float | None]]:
    """What the kind measures of one variant, divided by the same of another one where the check says so."""
    measure = KINDS[check.kind].measure
    found = measure(check, [run for run in runs if (run.policy, run.variant) == (policy, variant)], table)
    if not check.than:
        yield from found
        return
    compared = [run for run in runs if (run.policy, run.variant) == (policy, check.than)]
    others = dict(measure(check, compared, table))
    for subject, value in found:
        yield subject, load_checks.ratio(check, value, others.get(subject), compared)


def _latency_ratio(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    exchanges = _answered(runs)
    for place in [check.location] if check.location else sorted({place for place, _ in table}):
        here = [e for e in exchanges if e.location == place]
        nearest = nearest_region(place, table)
        through_global = [e.latency_ms for e in here if e.endpoint == "global"]
        regional = [e.latency_ms for e in here if e.region == nearest]
        yield place, median(through_global) / median(regional) if through_global and regional else None


def _mean_latency_ratio(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    ratios = [ratio for _, ratio in _latency_ratio(check, runs, table)]
    known = [ratio for ratio in ratios if ratio is not None]
    yield "", mean(known) if known and len(known) == len(ratios) else None


def nearest_region(place: str, table: RttTable) -> str:
    """The region with the shortest round trip from a place."""
    return min((trip.p50_ms, region) for (from_place, region), trip in table.items() if from_place == place)[1]


def _measured_to_table(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    exchanges, far = _answered(runs), {pair: trip for pair, trip in table.items() if trip.p50_ms >= check.pair_ms}
    for (place, region), trip in sorted(far.items()):
        found = [e.latency_ms for e in exchanges if (e.location, e.region) == (place, region)]
        yield f"{place} to {region}", median(found) / trip.p50_ms if found else None
    if not far:
        yield "", None


def _lost(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    judged = [e for run in runs for e in _window(check, run)]
    yield "", float(sum(e.outcome != "ok" for e in judged)) if judged else None


def _lost_share(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    judged = [e for run in runs for e in _window(check, run)]
    yield "", sum(e.outcome != "ok" for e in judged) / len(judged) if judged else None


def _recovery_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    recoveries = [_recovery_of(check, run) for run in runs]
    known = [seconds for seconds in recoveries if seconds is not None]
    yield "", max(known) if known and len(known) == len(recoveries) else None


def _recovery_of(check: Check, run: Run) -> float | None:
    """Seconds from the fault to the last lost request; None when the last request of the window was lost."""
    event = run.event(check.since)
    if event is None:
        return None
    judged = sorted((e for e in _window(check, run, event.began_at)), key=lambda e: e.due_at)
    if not judged or judged[-1].outcome != "ok":
        return None
    return max((e.due_at - event.began_at for e in judged if e.outcome != "ok"), default=0.0)


def _p99_ratio(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    before, after = [], []
    for run in runs:
        event = run.event(check.since)
        if event is not None:
            answered = [e for e in run.measured if e.outcome == "ok" and load_checks.selected(check, e)]
            before += [e.latency_ms for e in answered if e.due_at < event.began_at]
            after += [e.latency_ms for e in _window(check, run) if e.outcome == "ok"]
    enough = min(len(before), len(after)) >= revocation_checks.P99_SAMPLES_MIN
    yield "", percentile(after, 0.99) / percentile(before, 0.99) if enough else None


def _restart_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    starts = [event for run in runs for event in run.events if event.action == "start"]
    yield "", max((event.done_at - event.began_at for event in starts), default=None)


def _remote_calls(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    """Nothing, where a node did not tell, or counts nothing at all and so proves nothing."""
    counts = [run.nodes.get(region, NodeCounts()).remote_calls for run in runs for region in _regions(run)]
    known = bool(counts) and all(count.get("background", 0) > 0 for count in counts)
    yield "", sum(count["request"] for count in counts) if known else None


def _regions(run: Run) -> set[str]:
    """The regions that clients called."""
    return {e.region for e in run.measured if e.region}


def _window(check: Check, run: Run, since: float | None = None) -> list[Exchange]:
    """The selected exchanges due in the check's window; none when a fault that bounds it did not happen."""
    begin, end = revocation_checks.bounds(check, run)
    begin = begin if since is None else since
    return [e for e in run.measured if begin <= e.due_at < end and load_checks.selected(check, e)]


def _answered(runs: Sequence[Run]) -> list[Exchange]:
    return [e for run in runs for e in run.measured if e.outcome == "ok"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of check measures, and which members it needs and allows beside the common ones."""

    measure: Measure
    required: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


_BOUNDS = ("at_least", "at_most")
_CLIENTS = ("location", "endpoint", "region", "not_region")
KINDS: Mapping[str, Kind] = {
    "latency_ratio": Kind(_latency_ratio, (), ("location", *_BOUNDS)),
    "mean_latency_ratio": Kind(_mean_latency_ratio, (), _BOUNDS),
    "measured_to_table": Kind(_measured_to_table, ("pair_ms",), _BOUNDS),
    "lost": Kind(_lost, (), ("since", "until", *_CLIENTS, *_BOUNDS)),
    "lost_share": Kind(_lost_share, (), ("since", "until", *_CLIENTS, *_BOUNDS)),
    "p99_ratio": Kind(_p99_ratio, ("since",), ("until", *_CLIENTS, *_BOUNDS)),
    "remote_calls": Kind(_remote_calls, (), _BOUNDS),
    "restart_s": Kind(_restart_s, (), _BOUNDS),
    "recovery_s": Kind(_recovery_s, ("since",), ("until", *_CLIENTS, *_BOUNDS)),
    "hedged_share": Kind(load_checks.hedged_share, (), _BOUNDS),
    **{
        kind: Kind(measure, required, (*allowed, "until", *_CLIENTS, *_BOUNDS))
        for kind, (measure, required, allowed) in load_checks.MEASURES.items()
    },
    **{kind: Kind(measure, required, _BOUNDS) for kind, (measure, required) in crowd_checks.MEASURES.items()},
    **{
        kind: Kind(measure, required, (*allowed, *_BOUNDS))
        for kind, (measure, required, allowed) in {
            **revocation_checks.MEASURES,
            **cutoff_checks.MEASURES,
            **node_checks.MEASURES,
        }.items()
    },
}
